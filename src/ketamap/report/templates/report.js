(() => {
  const { read, payload, config, openRegion, dialog } = ketamap;
  const figures = read("figures-data");

  const measureOf = (name) => (ketamap.comparisonOf(name.split("-")[1]) || {}).measure || null;

  function draw(box) {
    const name = box.dataset.figure;
    const figure = figures[name];
    for (const trace of figure.data) {
      if (trace.meta && trace.meta.animals) trace.hovertext = trace.meta.animals.map((animal, k) => ketamap.animalHover(animal, trace.y[k]));
      else if (trace.customdata && !trace.hovertext) trace.hovertext = trace.customdata.map((region) => ketamap.hoverText(region, name.split("-")[1]));
    }
    Plotly.newPlot(box, figure.data, figure.layout, config);
    box.on("plotly_click", (event) => {
      const point = event.points[0];
      const region = (point.data.meta || {}).region || point.customdata;
      if (region !== undefined) openRegion(region, measureOf(name));
    });
  }

  // Plots are drawn when they are first seen: most belong to comparisons not chosen.
  function drawVisible() {
    for (const box of document.querySelectorAll("[data-figure], .dose-plot")) {
      if (box.dataset.drawn || box.offsetParent === null) continue;
      box.dataset.drawn = "yes";
      if (box.dataset.figure) draw(box);
      else ketamap.drawDoses(box, box.dataset.region, box.dataset.measure);
    }
  }

  // Many comparisons: one at a time, chosen once for the whole page.
  const picker = document.getElementById("picker");
  const pick = document.getElementById("pick-view");
  let chosen = picker ? picker.dataset.first : null;
  const views = document.querySelectorAll(".view");

  function choose(key) {
    chosen = key;
    const { measure } = ketamap.comparisonOf(key);
    for (const view of views) view.hidden = view.dataset.key ? view.dataset.key !== key : view.dataset.measure !== measure;
    for (const button of picker.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.measure === measure));
    for (const option of pick.options) option.hidden = option.disabled = option.dataset.measure !== measure;
    pick.value = key;
    const table = document.getElementById("pick-comparison");
    if (table.value) {
      table.value = key;
      table.dispatchEvent(new Event("input"));
    }
    drawVisible();
    if (Plotly.Plots) for (const box of document.querySelectorAll(".view:not([hidden]) .js-plotly-plot")) Plotly.Plots.resize(box);
  }

  if (picker) {
    picker.hidden = false;
    pick.addEventListener("input", () => choose(pick.value));
    for (const button of picker.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        const { contrast } = ketamap.comparisonOf(chosen);
        const there = payload.comparisons.filter((c) => c.measure === button.dataset.measure);
        choose((there.find((c) => c.contrast === contrast) || there[0]).key);
      });
    }
    document.addEventListener("click", (event) => {
      const link = event.target.closest("[data-choose]");
      if (link) choose(link.dataset.choose);
    });
  }

  const PAGE_PX = 855; // A4 within its margins at the zoom of the print style
  const onPaper = (printing) => {
    for (const box of document.querySelectorAll(".js-plotly-plot")) {
      if (box.offsetParent === null || box.closest("dialog")) continue;
      if (printing) Plotly.relayout(box, { width: box.closest("#shift .pair") ? PAGE_PX / 2 - 10 : PAGE_PX, autosize: false });
      else Plotly.relayout(box, { width: null, autosize: true });
    }
  };
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));

  const enlarged = document.getElementById("picture");
  for (const one of [dialog, enlarged]) {
    one.addEventListener("click", (event) => { if (event.target === one) one.close(); });
  }
  const plain = enlarged.querySelector(":scope > img");
  const layers = enlarged.querySelector(".layers");
  const enlarge = (words, traced) => {
    enlarged.querySelector("p").textContent = words;
    plain.hidden = traced;
    layers.hidden = !traced;
    enlarged.showModal();
  };
  for (const picture of document.querySelectorAll(".pictures img")) {
    picture.addEventListener("click", () => {
      plain.src = picture.src;
      enlarge(picture.alt, false);
    });
  }
  for (const traced of document.querySelectorAll(".traces .layers")) {
    traced.addEventListener("click", () => {
      layers.innerHTML = traced.innerHTML;
      layers.style.aspectRatio = traced.style.aspectRatio;
      enlarged.classList.toggle("bare", !document.getElementById("show-trace").checked);
      enlarge(traced.querySelector("img").alt, true);
    });
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-region]");
    if (!target || target.closest(".dose-plot")) return;
    const place = target.closest("[data-map]");
    const key = target.dataset.comparison || (place ? place.dataset.map : "");
    openRegion(target.dataset.region, target.dataset.measure || measureOf("-" + key));
  });

  // Maps: the hover text is written here; without scripts the name alone is shown.
  const tip = document.getElementById("tip");
  const tipText = (use) => [ketamap.title(use.dataset.region), ...ketamap.effectLines(use.dataset.region, use.closest("[data-map]").dataset.map)].join("\n");
  for (const title of document.querySelectorAll(".slice use[data-region] title")) title.remove();
  document.addEventListener("mousemove", (event) => {
    const use = event.target.closest ? event.target.closest(".slice use[data-region]") : null;
    tip.hidden = !use;
    if (!use) return;
    tip.textContent = tipText(use);
    const left = Math.min(event.clientX + 16, window.innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18 + tip.offsetHeight < window.innerHeight;
    tip.style.left = left + "px";
    tip.style.top = (below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 12) + "px";
  });

  // The table: filter, sort, download.
  const comparison = document.getElementById("pick-comparison");
  const status = document.getElementById("pick-status");
  const find = document.getElementById("find");
  const effectRows = Array.from(document.querySelector("#effects tbody").rows);

  function filter() {
    const wanted = find.value.trim().toLowerCase();
    let shown = 0;
    for (const row of effectRows) {
      const text = (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase();
      const keep = (!comparison.value || row.dataset.comparison === comparison.value)
        && (!status.value || row.dataset.status === status.value) && text.includes(wanted);
      row.hidden = !keep;
      shown += keep;
    }
    document.getElementById("effects").classList.toggle("one", Boolean(comparison.value) || comparison.options.length === 2);
    document.getElementById("shown").textContent = shown + " of " + effectRows.length + " rows";
  }
  for (const control of [comparison, status, find]) control.addEventListener("input", filter);
  filter();

  for (const table of document.querySelectorAll("table.sorted")) {
    const headings = Array.from(table.querySelectorAll("th[data-sort]"));
    const rows = Array.from(table.tBodies[0].rows);
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
      table.tBodies[0].append(...rows);
    }));
  }

  document.getElementById("download").addEventListener("click", async () => {
    const bytes = Uint8Array.from(atob(read("csv-data")), (c) => c.charCodeAt(0));
    const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([await new Response(text).arrayBuffer()], { type: "text/csv" }));
    link.download = "effects.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  if (picker) choose(chosen);
  drawVisible();

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
