"""One file a command's work, without a terminal: config in, frozen result out."""
