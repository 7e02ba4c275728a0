"""The report of a run: numbers gathered, put into words, drawn, and laid out as one HTML file."""
