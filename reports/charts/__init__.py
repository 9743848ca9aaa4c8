"""One chart a file. A chart is plain data for plotly.js; colors are names of CSS variables, resolved in the page."""
