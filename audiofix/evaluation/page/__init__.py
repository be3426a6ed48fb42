"""Parts of the HTML report: markup, tables, plots, players."""
