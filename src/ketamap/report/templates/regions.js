"use strict";
// What the page holds, in words; and one region opened on a click.
const ketamap = (() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const payload = read("regions-data");
  const config = { displaylogo: false, responsive: true, displayModeBar: false };
  const BOTH = ["relative", "absolute"];
  const NONE = "–";

  const signed = (v) => {
    if (v === null || v === undefined) return NONE;
    const text = Math.abs(v).toFixed(2);
    return Number(text) === 0 ? text : (v < 0 ? "−" : "+") + text;
  };
  const interval = (low, high) => (low === null || high === null ? NONE : "[" + signed(low) + ", " + signed(high) + "]");
  const probability = (v) => (v === null || v === undefined ? NONE : v < 0.001 ? "<0.001" : v.toFixed(3));
  const equation = (name, v) => (v !== null && v < 0.001 ? name + " < 0.001" : name + " = " + probability(v));
  const fold = (v) => {
    if (v === null || v === undefined) return NONE;
    const factor = 2 ** v;
    if (factor >= 99.5 || factor < 0.01) return factor.toPrecision(2) + "×";
    return factor.toFixed(factor >= 9.95 ? 0 : 2) + "×";
  };

  function escaped(text) {
    const holder = document.createElement("span");
    holder.textContent = text;
    return holder.innerHTML;
  }

  const comparisonOf = (key) => payload.comparisons.find((c) => c.key === key);
  // Numbers of an effect: estimate, low, high, q.
  const numbers = (effect, kind) => effect.slice(4 * BOTH.indexOf(kind), 4 * BOTH.indexOf(kind) + 4);

  function title(region) {
    const [acronym, name] = payload.regions[region];
    return name === acronym ? acronym : name + " (" + acronym + ")";
  }

  function effectLines(region, key) {
    const comparison = comparisonOf(key);
    const effect = comparison && comparison.effects[region];
    if (!effect) return ["Not part of this comparison."];
    if (typeof effect === "string") return [effect.charAt(0).toUpperCase() + effect.slice(1)];
    return BOTH.map((kind) => {
      const [value, low, high, q] = numbers(effect, kind);
      return kind + " " + signed(value) + " log2 (" + fold(value) + "), 95 % interval " + interval(low, high) + ", " + equation("q", q);
    });
  }

  // Marks of regions carry only an id: their hover text is written here.
  const hoverText = (region, key) =>
    ["<b>" + escaped(title(region)) + "</b>", ...effectLines(region, key).map(escaped), "<i>click for the animals</i>"].join("<br>");

  function animalHover(index, value) {
    return "<b>" + escaped(payload.animals[index]) + "</b><br>" + escaped(payload.groups[payload.groupOf[index]]) + "<br>" + signed(value) + " log2";
  }

  // One region: its estimates in every comparison, its doses and days, its animals.
  const dialog = document.getElementById("region");
  const spread = (n, k) => (n < 2 ? 0 : (k / (n - 1) - 0.5) * 0.5 * Math.min(1, n / 6));

  function animalTraces(values, spans) {
    const traces = [];
    payload.groups.forEach((group, g) => {
      const mine = payload.animals
        .map((_, i) => ({ i, y: values[i], g: payload.groupOf[i] }))
        .filter((a) => a.g === g && a.y !== null && a.y !== undefined);
      if (!mine.length) return;
      const mean = mine.reduce((sum, a) => sum + a.y, 0) / mine.length;
      const colour = payload.groupColours[g];
      traces.push({ type: "scatter", mode: "lines", x: [g - 0.32, g + 0.32], y: [mean, mean], line: { color: colour, width: 2.5 }, hoverinfo: "skip" });
      const dots = { type: "scatter", mode: "markers", x: mine.map((_, k) => g + spread(mine.length, k)), y: mine.map((a) => a.y), marker: { size: 9, color: colour, opacity: 0.85 }, hovertext: mine.map((a) => animalHover(a.i, a.y)), hoverinfo: "text" };
      if (spans) dots.error_y = { type: "data", symmetric: false, array: mine.map((a) => spans[1][a.i] || 0), arrayminus: mine.map((a) => -(spans[0][a.i] || 0)), color: colour, thickness: 1, width: 0 };
      traces.push(dots);
    });
    return traces;
  }

  function drawAnimals(box, values, heading, spans) {
    const crowded = payload.groups.length > 4;
    const layout = {
      height: crowded ? 330 : 300, margin: { l: 56, r: 8, t: 34, b: crowded ? 96 : 40 }, showlegend: false, hovermode: "closest", dragmode: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12 },
      title: { text: heading, font: { size: 13 }, x: 0.02 },
      xaxis: { tickvals: payload.groups.map((_, g) => g), ticktext: payload.groups.map(escaped), tickangle: crowded ? -55 : 0, tickfont: { size: crowded ? 11 : 12 }, range: [-0.6, payload.groups.length - 0.4], fixedrange: true, showgrid: false, zeroline: false },
      yaxis: { fixedrange: true, zeroline: false, gridcolor: "#e1e4e8", title: { text: "log2" } },
    };
    Plotly.react(box, animalTraces(values, spans), layout, config);
  }

  function cell(row, text, numeric) {
    const td = row.insertCell();
    td.textContent = text;
    if (numeric) td.className = "n";
  }

  function estimatesTable(region, measure) {
    const table = document.createElement("table");
    table.className = "plain";
    const head = table.createTHead().insertRow();
    for (const text of ["Comparison", "Relative, log2 [95 %]", "q", "Absolute, log2 [95 %]", "q"]) {
      const th = document.createElement("th");
      th.textContent = text;
      if (text !== "Comparison") th.className = "n";
      head.append(th);
    }
    const body = table.createTBody();
    for (const comparison of payload.comparisons.filter((c) => c.measure === measure)) {
      const effect = comparison.effects[region];
      if (!effect) continue;
      const row = body.insertRow();
      cell(row, comparison.contrast);
      if (typeof effect === "string") {
        cell(row, effect);
        row.cells[1].colSpan = 4;
        continue;
      }
      for (const kind of BOTH) {
        const [value, low, high, q] = numbers(effect, kind);
        cell(row, signed(value) + " " + interval(low, high), true);
        cell(row, probability(q), true);
      }
    }
    return table;
  }

  function openRegion(region, measure) {
    const chosen = measure || payload.comparisons[0].measure;
    if (!payload.comparisons.some((c) => c.measure === chosen && c.effects[region])) return;
    const words = payload.measures[chosen];
    dialog.querySelector("h3").textContent = title(region) + (Object.keys(payload.measures).length > 1 ? ": " + words : "");
    dialog.querySelector(".estimates").replaceChildren(estimatesTable(region, chosen));
    const values = (payload.values[chosen] || {})[region];
    dialog.querySelector(".pair").hidden = !values;
    dialog.showModal();
    const panels = dialog.querySelector(".dose-panel");
    const dosed = Boolean((payload.doses[chosen] || {})[region]);
    panels.hidden = !dosed;
    if (dosed) {
      panels.querySelector(".dose-legend").innerHTML = ketamap.doseLegend() + "<br>" + escaped(ketamap.doseWords(region, chosen));
      ketamap.drawDoses(panels.querySelector(".dose-plot-here"), region, chosen);
    }
    const spans = ((payload.spans || {})[chosen] || {})[region];
    dialog.querySelector(".spans").hidden = !spans;
    if (!values) return;
    for (const box of dialog.querySelectorAll(".dots")) {
      const which = box.dataset.which;
      drawAnimals(box, values[which] || [], which === "relative" ? "relative to the animal's level" : words, which === "absolute" ? spans : null);
    }
  }

  return { read, payload, config, BOTH, NONE, signed, interval, probability, equation, escaped, comparisonOf, numbers, title, effectLines, hoverText, animalHover, openRegion, dialog };
})();
