"""The factor language: text → nodes → SQL; pure Python, knows no database."""
