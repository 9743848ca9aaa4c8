// Draws the charts. Figures come as JSON from the page; colors in them are names of CSS variables, so that light and
// dark need no figures of their own. Nothing here turns a string of the data into markup.
(function () {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displaylogo: false, displayModeBar: false, responsive: true, doubleClick: "reset" };
  const narrow = window.matchMedia("(max-width: 640px)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // A copy of `value` in which every color that is "var(--name)" has become what the style sheet says.
  function resolved(value, key, style) {
    if (Array.isArray(value)) return value.map((item) => resolved(item, key, style));
    if (value !== null && typeof value === "object") {
      const entries = Object.entries(value).map(([name, item]) => [name, resolved(item, name, style)]);
      return Object.fromEntries(entries);
    }
    const variable = typeof value === "string" && /color$/.test(key) && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return variable ? style.getPropertyValue(variable[1]).trim() : value;
  }

  function fitted(layout) {
    if (!narrow.matches) return layout;
    return { ...layout, font: { ...layout.font, size: 11 }, margin: { ...layout.margin, l: 48, r: 6 } };
  }

  function draw(chart) {
    const plot = chart.querySelector(".plot");
    if (!plot) return;
    const chosen = chart.querySelector("input:checked, select");
    const index = chosen ? Number(chosen.value) : 0;
    const style = getComputedStyle(document.documentElement);
    const figure = resolved(figures[chart.dataset.chart][index], "", style);
    Plotly.react(plot, figure.data, fitted(figure.layout), config);
    for (const part of chart.querySelectorAll("[data-choice]")) part.hidden = Number(part.dataset.choice) !== index;
  }

  const charts = [...document.querySelectorAll("[data-chart]")];
  const drawAll = () => charts.forEach(draw);
  for (const chart of charts) chart.addEventListener("change", () => draw(chart));
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  drawAll();
})();
