"""The command line: parse, call the pipeline, render. stdout is data, stderr is narration."""
