"""Results → terminal, rows, Markdown, JSON, HTML; nothing is computed here."""
