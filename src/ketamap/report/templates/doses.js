// Dose and day panels of a region: each dose against the control on each day, with intervals.
(() => {
  const { payload, BOTH, numbers, signed, interval, equation, escaped, config } = ketamap;
  const dosed = payload.comparisons.filter((c) => c.dose !== undefined);
  const sorted = (values) => Array.from(new Set(values)).sort((a, b) => a - b);
  const doses = sorted(dosed.map((c) => c.dose));
  const days = sorted(dosed.map((c) => c.day).filter((d) => d !== null));
  const lasting = days.length > 1;
  const doseName = new Map(dosed.map((c) => [c.dose, c.contrast.split(" vs ")[0]]));
  const unit = (/^[\d.]+ (.+)$/.exec(doseName.get(doses[0]) || "") || [])[1] || "";
  const doseColour = (dose) => payload.doseColours[doses.indexOf(dose) % payload.doseColours.length];
  const dayColour = (day) => {
    const share = lasting ? days.indexOf(day) / (days.length - 1) : 1;
    return "rgb(" + [[176, 22], [183, 25], [192, 29]].map(([a, b]) => Math.round(a + (b - a) * share)).join(",") + ")";
  };

  const pointsOf = (region, measure, kind) =>
    dosed
      .filter((c) => c.measure === measure && Array.isArray(c.effects[region]))
      .map((c) => {
        const [value, low, high, q] = numbers(c.effects[region], kind);
        return { dose: c.dose, day: c.day, value, low, high, q, contrast: c.contrast };
      })
      .filter((p) => p.value !== null);

  function series(points, x, colour, axes, joined) {
    return {
      type: "scatter", mode: joined ? "lines+markers" : "markers", ...axes, x, y: points.map((p) => p.value),
      line: { color: colour, width: 1.6 },
      marker: { size: 8, color: points.map((p) => (p.q !== null && p.q < payload.alpha ? colour : "#ffffff")), line: { color: colour, width: 1.8 } },
      error_y: { type: "data", symmetric: false, array: points.map((p) => p.high - p.value), arrayminus: points.map((p) => p.value - p.low), color: colour, thickness: 1.3, width: 0 },
      hovertext: points.map((p) => escaped(p.contrast) + "<br>" + signed(p.value) + " log2 " + interval(p.low, p.high) + "<br>" + equation("q", p.q)),
      hoverinfo: "text",
    };
  }

  function curveTraces(curve, axes) {
    const [x, middle, low, high] = curve.lines;
    const colour = dayColour(curve.day);
    const band = { type: "scatter", mode: "lines", ...axes, x: [...x, ...x.slice().reverse()], y: [...high, ...low.slice().reverse()], fill: "toself", line: { width: 0 }, fillcolor: colour, opacity: 0.1, hoverinfo: "skip" };
    const line = { type: "scatter", mode: "lines", ...axes, x, y: middle, line: { color: colour, width: 1.8 }, hoverinfo: "skip" };
    return [band, line];
  }

  function dosePanel(points, answers, kind, axes) {
    const traces = [];
    for (const curve of (answers.curves || {})[kind] || []) traces.push(...curveTraces(curve, axes));
    const step = 0.018 * doses[doses.length - 1];
    (lasting ? days : [null]).forEach((day, k, all) => {
      const mine = points.filter((p) => !lasting || p.day === day);
      const x = mine.map((p) => p.dose + (k - (all.length - 1) / 2) * step);
      traces.push(series(mine, x, lasting ? dayColour(day) : "#16191d", axes, false));
    });
    traces.push({ type: "scatter", mode: "markers", ...axes, x: [0], y: [0], marker: { size: 7, symbol: "square", color: "#5b6470" }, hovertext: ["control: the reference"], hoverinfo: "text" });
    return traces;
  }

  function dayPanel(points, axes) {
    const step = 0.018 * (days[days.length - 1] - days[0]);
    return doses.map((dose, k) => {
      const mine = points.filter((p) => p.dose === dose).sort((a, b) => a.day - b.day);
      return series(mine, mine.map((p) => p.day + (k - (doses.length - 1) / 2) * step), doseColour(dose), axes, true);
    });
  }

  function onsetShapes(onsets, axis) {
    const wide = 0.02 * (days[days.length - 1] - days[0]);
    return onsets.flatMap(([dose, first, low, high]) => {
      const y = 0.015 + 0.045 * doses.indexOf(dose);
      const bar = { type: "rect", xref: axis, yref: "paper", line: { width: 0 }, fillcolor: doseColour(dose) };
      return [
        { ...bar, x0: low - wide / 2, x1: high + wide / 2, y0: y + 0.008, y1: y + 0.022, opacity: 0.45 },
        { ...bar, x0: first - wide / 2, x1: first + wide / 2, y0: y - 0.004, y1: y + 0.034 },
      ];
    });
  }

  function ends(points, answers) {
    const curves = BOTH.flatMap((kind) => (answers.curves || {})[kind] || []);
    const values = [...points.flatMap((p) => [p.low, p.high]), ...curves.flatMap((c) => [...c.lines[1]])];
    const low = Math.min(0, ...values), high = Math.max(0, ...values), margin = 0.08 * (high - low) + 0.05;
    return [low - (lasting ? 2.2 : 1) * margin, high + margin];
  }

  const quiet = (more) => ({ gridcolor: "#e1e4e8", zeroline: false, ticks: "", fixedrange: true, tickangle: 0, ...more });
  const heading = (text, x) => ({ text, x, y: 1, xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", yshift: 6, showarrow: false, font: { size: 13 } });

  // Left to right: relative by dose, relative by day, absolute by dose, absolute by day.
  ketamap.drawDoses = (box, region, measure) => {
    const answers = payload.doses[measure][region] || {};
    const narrow = box.clientWidth < 620 && lasting;
    const domains = lasting ? [[0, 0.235], [0.255, 0.485], [0.525, 0.755], [0.775, 1]] : [[0, 0.48], [0.52, 1]];
    const data = [], shapes = [], everything = [];
    const layout = {
      height: 250, margin: { l: 44, r: 6, t: 30, b: 46 }, showlegend: false, hovermode: "closest", dragmode: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 10 : 12 }, annotations: [],
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    };
    BOTH.forEach((kind, at) => {
      const points = pointsOf(region, measure, kind);
      everything.push(...points);
      const first = lasting ? 2 * at : at;
      const names = [first, first + 1].map((k) => "x" + (k ? k + 1 : ""));
      data.push(...dosePanel(points, answers, kind, { xaxis: names[0], yaxis: "y" }));
      const top = doses[doses.length - 1];
      layout["xaxis" + names[0].slice(1)] = quiet({ domain: domains[first], anchor: "y", range: [-0.08 * top, 1.08 * top], tickvals: [0, ...doses], title: { text: "dose" + (unit ? ", " + unit : ""), font: { size: 12, color: "#5b636e" }, standoff: 6 } });
      layout.annotations.push(heading("<b>" + (kind === "relative" ? "Relative" : "Absolute") + "</b> effect, log2", domains[first][0]));
      if (!lasting) return;
      data.push(...dayPanel(points, { xaxis: names[1], yaxis: "y" }));
      const reach = 0.09 * (days[days.length - 1] - days[0]);
      layout["xaxis" + names[1].slice(1)] = quiet({ domain: domains[first + 1], anchor: "y", range: [days[0] - reach, days[days.length - 1] + reach], tickvals: days, title: { text: "days", font: { size: 12, color: "#5b636e" }, standoff: 6 } });
      shapes.push(...onsetShapes((answers.onset || {})[kind] || [], names[1]));
    });
    layout.yaxis = quiet({ range: ends(everything, answers), zeroline: true, zerolinecolor: "#5b636e", zerolinewidth: 1.2, nticks: 6 });
    layout.shapes = shapes;
    Plotly.react(box, data, layout, config);
  };

  // In words, above the panels of a region.
  ketamap.doseWords = (region, measure) => {
    const answers = payload.doses[measure][region] || {};
    const parts = BOTH.filter((kind) => (answers.any || {})[kind]).map((kind) => kind + " " + answers.any[kind][0]);
    const lines = ["any effect of dose: " + parts.join(", ") + (answers.any && answers.any.relative && answers.any.relative[1] ? " (closest shape: " + answers.any.relative[1] + ")" : "")];
    if ((answers.growth || {}).relative) lines.push("growth with duration, relative: " + answers.growth.relative);
    const curve = ((answers.curves || {}).relative || []).slice(-1)[0];
    if (curve) lines.push("curve" + (curve.day ? " on day " + curve.day : "") + ": " + curve.text);
    return lines.join("; ");
  };

  ketamap.doseLegend = legend;

  function legend() {
    const key = (colour, text) => '<span class="group"><span class="dot" style="background:' + colour + '"></span>' + escaped(text) + "</span> ";
    const byDay = lasting ? "By dose: " + days.map((d) => key(dayColour(d), "day " + d)).join("") + " By day: " : "";
    return byDay + (lasting ? doses.map((d) => key(doseColour(d), doseName.get(d))).join("") : "");
  }

  for (const holder of document.querySelectorAll(".dose-panels")) {
    const measure = holder.dataset.measure;
    const regions = holder.dataset.regions.split(" ").filter(Boolean);
    if (regions.length) holder.insertAdjacentHTML("beforebegin", '<p class="small dose-legend">' + legend() + "</p>");
    for (const region of regions) {
      const part = document.createElement("figure");
      const head = document.createElement("figcaption");
      const name = document.createElement("button");
      name.type = "button";
      name.className = "plainlink";
      name.textContent = ketamap.title(region);
      name.dataset.region = region;
      name.dataset.measure = measure;
      head.append(name, " " + ketamap.doseWords(region, measure));
      const box = document.createElement("div");
      box.className = "dose-plot";
      box.dataset.region = region;
      box.dataset.measure = measure;
      part.append(head, box);
      holder.append(part);
    }
  }
})();
