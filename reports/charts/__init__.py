"""One chart a file: plain data for plotly.js; colors are names of CSS variables, resolved in the page."""
