"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures-data");
  const payload = read("regions-data");
  const config = { displaylogo: false, responsive: true, displayModeBar: false };
  const groupColours = Array.from(document.querySelectorAll("#headline .group .dot"), (d) => d.style.background);

  const measureOf = (name) => {
    const key = name.split("-")[1];
    const found = payload.comparisons.find((c) => c.key === key);
    return found ? found.measure : null;
  };

  function escaped(text) {
    const holder = document.createElement("span");
    holder.textContent = text;
    return holder.innerHTML;
  }

  // Region marks carry only an id: their hover text is written once, here.
  function hoverText(region, key) {
    const effect = payload.comparisons.find((c) => c.key === key).effects[region];
    const title = effect.n === effect.a ? effect.a : effect.n + " (" + effect.a + ")";
    const lines = ["<b>" + escaped(title) + "</b>"];
    for (const kind of ["relative", "absolute"]) {
      const [value, interval, factor, , q] = effect[kind];
      lines.push("<b>" + kind + "</b> " + value + " log2 (" + factor + "), 95 % interval " + interval + ", " + escaped(q));
    }
    return lines.join("<br>") + "<br><i>click for the animals</i>";
  }

  for (const box of document.querySelectorAll("[data-figure]")) {
    const name = box.dataset.figure;
    const figure = figures[name];
    for (const trace of figure.data) {
      if (!trace.customdata || trace.hovertext) continue;
      trace.hovertext = trace.customdata.map((region) => hoverText(region, name.split("-")[1]));
    }
    Plotly.newPlot(box, figure.data, figure.layout, config);
    box.on("plotly_click", (event) => {
      const region = event.points[0].customdata;
      if (region !== undefined) openRegion(region, measureOf(name));
    });
  }

  const PAGE_PX = 855; // A4 within its margins at the zoom of the print style
  const onPaper = (printing) => {
    for (const box of document.querySelectorAll(".figure[data-figure]")) {
      if (printing) Plotly.relayout(box, { width: box.closest("#shift .pair") ? PAGE_PX / 2 - 10 : PAGE_PX, autosize: false });
      else Plotly.relayout(box, { width: null, autosize: true });
    }
  };
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));

  // One region: its estimates in every comparison, its animals in both scales.
  const dialog = document.getElementById("region");
  const spread = (n, k) => (n < 2 ? 0 : (k / (n - 1) - 0.5) * 0.5 * Math.min(1, n / 6));

  function animalTraces(values) {
    const traces = [];
    payload.groups.forEach((group, g) => {
      const mine = payload.animals
        .map((animal, i) => ({ animal, y: values[i], g: payload.groupOf[i] }))
        .filter((a) => a.g === g && a.y !== null && a.y !== undefined);
      if (!mine.length) return;
      const mean = mine.reduce((sum, a) => sum + a.y, 0) / mine.length;
      const colour = groupColours[g];
      traces.push({ type: "scatter", mode: "lines", x: [g - 0.32, g + 0.32], y: [mean, mean], line: { color: colour, width: 2.5 }, hoverinfo: "skip" });
      traces.push({ type: "scatter", mode: "markers", x: mine.map((_, k) => g + spread(mine.length, k)), y: mine.map((a) => a.y), marker: { size: 10, color: colour, opacity: 0.85 }, hovertext: mine.map((a) => escaped(a.animal) + "<br>" + a.y.toFixed(2) + " log2"), hoverinfo: "text" });
    });
    return traces;
  }

  function drawAnimals(box, values, title) {
    const layout = {
      height: 300, margin: { l: 56, r: 8, t: 34, b: 40 }, showlegend: false, hovermode: "closest", dragmode: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12 },
      title: { text: title, font: { size: 13 }, x: 0.02 },
      xaxis: { tickvals: payload.groups.map((_, g) => g), ticktext: payload.groups.map(escaped), range: [-0.6, payload.groups.length - 0.4], fixedrange: true, showgrid: false, zeroline: false },
      yaxis: { fixedrange: true, zeroline: false, gridcolor: "#e1e4e8", title: { text: "log2" } },
    };
    Plotly.react(box, animalTraces(values), layout, config);
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
      cell(row, comparison.label);
      if (effect.why) {
        cell(row, effect.why);
        row.cells[1].colSpan = 4;
        continue;
      }
      for (const kind of ["relative", "absolute"]) {
        cell(row, effect[kind][0] + " " + effect[kind][1], true);
        cell(row, effect[kind][3], true);
      }
    }
    return table;
  }

  function openRegion(region, measure) {
    const chosen = measure || payload.comparisons[0].measure;
    const known = payload.comparisons.find((c) => c.measure === chosen && c.effects[region]);
    if (!known) return;
    const effect = known.effects[region];
    dialog.querySelector("h3").textContent = effect.n === effect.a ? effect.a : effect.n + " (" + effect.a + ")";
    dialog.querySelector(".estimates").replaceChildren(estimatesTable(region, chosen));
    const values = (payload.values[chosen] || {})[region];
    dialog.querySelector(".pair").hidden = !values;
    dialog.showModal();
    if (!values) return;
    for (const box of dialog.querySelectorAll(".dots")) {
      const which = box.dataset.which;
      drawAnimals(box, values[which] || [], which === "relative" ? "relative to the animal's level" : "density");
    }
  }
  const enlarged = document.getElementById("picture");
  for (const one of [dialog, enlarged]) {
    one.addEventListener("click", (event) => { if (event.target === one) one.close(); });
  }
  for (const picture of document.querySelectorAll(".pictures img")) {
    picture.addEventListener("click", () => {
      enlarged.querySelector("img").src = picture.src;
      enlarged.querySelector("p").textContent = picture.alt;
      enlarged.showModal();
    });
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-region]");
    if (target) openRegion(target.dataset.region, target.dataset.measure);
  });

  // Maps: the hover text stands in <title>; with scripts it is shown at once.
  const tip = document.getElementById("tip");
  for (const use of document.querySelectorAll(".slice use[data-region]")) {
    const title = use.querySelector("title");
    use.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  document.addEventListener("mousemove", (event) => {
    const use = event.target.closest ? event.target.closest(".slice use[data-region]") : null;
    tip.hidden = !use;
    if (!use) return;
    tip.textContent = use.getAttribute("aria-label");
    const left = Math.min(event.clientX + 16, window.innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18 + tip.offsetHeight < window.innerHeight;
    tip.style.left = left + "px";
    tip.style.top = (below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 12) + "px";
  });

  // The table: filter, sort, download.
  const body = document.querySelector("#effects tbody");
  const rows = Array.from(body.rows);
  const comparison = document.getElementById("pick-comparison");
  const status = document.getElementById("pick-status");
  const find = document.getElementById("find");

  function filter() {
    const wanted = find.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const text = (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase();
      const keep = (!comparison.value || row.dataset.comparison === comparison.value)
        && (!status.value || row.dataset.status === status.value) && text.includes(wanted);
      row.hidden = !keep;
      shown += keep;
    }
    document.getElementById("effects").classList.toggle("one", Boolean(comparison.value) || comparison.options.length === 2);
    document.getElementById("shown").textContent = shown + " of " + rows.length + " rows";
  }
  for (const control of [comparison, status, find]) control.addEventListener("input", filter);
  filter();

  const headings = Array.from(document.querySelectorAll("#effects th[data-sort]"));
  headings.forEach((heading, column) => heading.addEventListener("click", () => {
    const up = heading.getAttribute("aria-sort") !== "ascending";
    headings.forEach((h) => h.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const numeric = heading.dataset.sort === "number";
    const key = (row) => numeric ? parseFloat(row.cells[column].dataset.v) : row.cells[column].textContent;
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (numeric && (isNaN(x) || isNaN(y))) return isNaN(x) - isNaN(y);
      const order = numeric ? x - y : x.localeCompare(y);
      return up ? order : -order;
    });
    body.append(...rows);
  }));

  document.getElementById("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([read("csv-data")], { type: "text/csv" }));
    link.download = "effects.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // Contents: mark the section that is being read.
  const links = new Map(Array.from(document.querySelectorAll("nav.contents a"), (a) => [a.getAttribute("href").slice(1), a]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a) => a.classList.remove("here"));
      links.get(entry.target.id).classList.add("here");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));
})();
