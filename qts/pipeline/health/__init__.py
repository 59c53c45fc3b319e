"""Checks of `qts doctor`: small functions, each of which looks at one thing and says what it found."""
