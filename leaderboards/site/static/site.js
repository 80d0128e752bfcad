"use strict";
(() => {
  const all = (selector, home = document) => [...home.querySelectorAll(selector)];
  const make = (tag, fields = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), fields);
    element.append(...children);
    return element;
  };
  const data = (element) => JSON.parse(element.textContent);

  // Light and dark
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const button = document.getElementById("theme");
  const paint = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", dark() ? "Use light colours" : "Use dark colours");
    all(".chart").forEach(drawChart);
  };
  button.hidden = false;
  button.removeAttribute("aria-pressed");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* storage is off */ }
    paint();
  });
  system.addEventListener("change", paint);

  // Charts, drawn with vega's own interpreter, since the page's policy forbids code built from text
  function drawChart(home) {
    if (!window.vegaEmbed || !home.offsetParent) return;
    const look = getComputedStyle(root);
    const ink = look.getPropertyValue("--ink").trim(), line = look.getPropertyValue("--line").trim();
    const axis = { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: "normal", labelFontSize: 11 };
    const config = { axis, title: { color: ink }, text: { color: ink }, style: { text: { color: ink } }, font: "system-ui, sans-serif" };
    let holder = home.querySelector(".drawn");
    if (!holder) home.append((holder = make("div", { className: "drawn" })));
    vegaEmbed(holder, data(home.querySelector("script")), { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true }, config });
  }

  // Tables: the plain tables of the page become sortable and searchable
  const tables = new Map();
  function rowsOf(table) {
    return all("tbody tr", table).map((row, id) => {
      const entry = { id, text: row.textContent.toLowerCase(), passes: Number(row.dataset.passes) };
      [...row.cells].forEach((cell, n) => {
        const sort = cell.dataset.sort;
        entry["c" + n] = sort === undefined ? cell.textContent : Number(sort);
        entry["n" + n] = cell;
      });
      return entry;
    });
  }
  const numbers = (a, b, x, y, column, way) => {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) ? (Number.isNaN(a) ? 1 : -1) * (way === "asc" ? 1 : -1) : 0;
    return a - b;
  };
  // Cost tracks: methods that take no more forward passes than so many integrated gradients at 50 points
  const PASSES = 50;
  function costTrack() {
    const names = { "": "any cost", 10: "at most 10 passes of integrated gradients", 3: "at most 3 passes", 1: "at most 1 pass" };
    const options = ["", 10, 3, 1].map((value) => make("option", { value, textContent: names[value] }));
    const track = make("select", {}, ...options);
    track.setAttribute("aria-label", "Methods by cost");
    return track;
  }
  function enhance(table) {
    if (tables.has(table) || !table.offsetParent) return;
    const columns = all("thead th", table).map((head, n) => ({
      title: head.textContent,
      field: "c" + n,
      sorter: head.dataset.type === "number" ? numbers : "string",
      headerSort: head.dataset.plain === undefined,
      hozAlign: head.dataset.type === "number" && head.dataset.left === undefined ? "right" : "left",
      headerHozAlign: head.dataset.type === "number" && head.dataset.left === undefined ? "right" : "left",
      visible: head.dataset.weighted !== "later",
      minWidth: head.textContent === "Method" || head.textContent === "Note" ? 170 : 64,
      variableHeight: head.textContent === "Note",
      cssClass: head.textContent === "Note" ? "wraps" : "",
      headerTooltip: head.querySelector("abbr")?.title || false,
      formatter: (cell) => {
        const holder = make("span", { className: "cell" });
        holder.append(...[...cell.getData()["n" + n].childNodes].map((node) => node.cloneNode(true)));
        return holder;
      },
    }));
    const rows = rowsOf(table);
    const holder = make("div", { className: "grid" });
    table.after(holder);
    table.classList.add("replaced");
    const grid = new Tabulator(holder, {
      data: rows, columns, layout: "fitDataStretch", height: rows.length > 60 ? "36rem" : undefined,
      headerSortElement: "<span aria-hidden='true'>▾</span>", placeholder: "Nothing matches.", columnDefaults: { resizable: false },
    });
    holder.setAttribute("aria-label", table.caption ? table.caption.textContent : "table");
    tables.set(table, grid);
    if (rows.length > 5) {
      const field = make("input", { type: "search", className: "filter", placeholder: table.dataset.filter, autocomplete: "off" });
      field.setAttribute("aria-label", table.dataset.filter);
      const bar = make("div", { className: "filters" }, field), track = table.dataset.tracks === undefined ? null : costTrack();
      const filter = () => {
        const text = field.value.toLowerCase().trim(), most = track && track.value ? PASSES * track.value : null;
        text || most ? grid.setFilter((row) => row.text.includes(text) && (!most || row.passes <= most)) : grid.clearFilter();
      };
      field.addEventListener("input", filter);
      if (track) { track.addEventListener("change", filter); bar.append(track); }
      holder.before(bar);
    }
    // Screen readers expect only rows in a grid; the links in the rows let the keyboard scroll it.
    grid.on("tableBuilt", () => holder.querySelector(".tabulator-tableholder").removeAttribute("tabindex"));
  }

  // The column of weights appears when a weight is first changed; the grid is built again, so that all widths fit.
  function showColumn(table, column) {
    table.tHead.rows[0].cells[column].dataset.weighted = "";
    tables.get(table).destroy();
    while (table.nextElementSibling.matches(".filters, .grid")) table.nextElementSibling.remove();
    tables.delete(table);
    table.classList.remove("replaced");
    enhance(table);
    tables.get(table).on("tableBuilt", () => tables.get(table).setSort("c" + column, "asc"));
  }

  // Tabs
  function reveal() {
    all("table.board").forEach(enhance);
    all(".chart").forEach((home) => home.querySelector(".drawn") || drawChart(home));
  }
  all("[data-tabs]").forEach((home, group) => {
    const panels = [...home.children].filter((child) => child.dataset.tab !== undefined);
    if (panels.length < 2) return;
    const bar = make("div", { className: "bar" });
    bar.setAttribute("role", "tablist");
    bar.setAttribute("aria-label", home.getAttribute("aria-label"));
    home.removeAttribute("aria-label");
    const choose = (index, focus) => {
      panels.forEach((panel, n) => {
        panel.hidden = n !== index;
        bar.children[n].setAttribute("aria-selected", String(n === index));
        bar.children[n].tabIndex = n === index ? 0 : -1;
      });
      if (focus) bar.children[index].focus();
      reveal();
    };
    panels.forEach((panel, n) => {
      const tab = make("button", { type: "button", textContent: panel.dataset.tab, id: `tab-${group}-${n}` });
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panel.id);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      panel.querySelector("h2").classList.add("hidden");
      tab.addEventListener("click", () => { choose(n); history.replaceState(null, "", "#" + panel.id); });
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const to = event.key === "Home" ? 0 : event.key === "End" ? panels.length - 1 : step ? (n + step + panels.length) % panels.length : -1;
        if (to >= 0) { event.preventDefault(); choose(to, true); }
      });
      bar.append(tab);
    });
    home.prepend(bar);
    // The address names a panel, or something inside one.
    const follow = () => {
      const target = location.hash && document.getElementById(location.hash.slice(1));
      const index = target ? panels.findIndex((panel) => panel.contains(target)) : -1;
      if (index < 0) return;
      choose(index);
      if (target !== panels[index]) target.scrollIntoView();
    };
    choose(0);
    follow();
    addEventListener("hashchange", follow);
  });

  // Weights
  // Of ranks among all methods, those among some; halves add up without rounding, so that ties are exact.
  const ranksOf = (values) => {
    const order = values.map((value, n) => [value, n]).sort((a, b) => a[0] - b[0]);
    const ranks = Array(values.length);
    for (let start = 0, stop; start < order.length; start = stop) {
      for (stop = start; stop < order.length && order[stop][0] === order[start][0]; stop++);
      for (let n = start; n < stop; n++) ranks[order[n][1]] = (start + stop + 1) / 2;
    }
    return ranks;
  };
  all("[data-weights]").forEach((home) => {
    const { methods, tables: list } = data(home.querySelector("script"));
    const table = document.getElementById("overall-" + home.dataset.weights);
    const sliders = home.querySelector(".sliders"), verdict = home.querySelector(".verdict");
    const column = table.tHead.rows[0].cells.length - 1;
    const reweigh = () => {
      const weights = list.map((_, n) => Number(sliders.querySelectorAll("input")[n].value));
      const kept = methods.map((_, m) => m).filter((m) => list.every((entry, n) => !weights[n] || entry.ranks[m] !== null));
      const total = weights.reduce((a, b) => a + b, 0), sums = kept.map(() => 0);
      list.forEach((entry, n) => {
        if (weights[n]) ranksOf(kept.map((m) => entry.ranks[m])).forEach((rank, k) => { sums[k] += weights[n] * rank; });
      });
      const rankOf = new Map(kept.map((m, k) => [methods[m], sums[k] / total]));
      all("tbody tr", table).forEach((row) => {
        const rank = total ? rankOf.get(row.dataset.label) : undefined;
        row.cells[column].dataset.sort = rank === undefined ? "NaN" : rank;
        row.cells[column].textContent = rank === undefined ? "–" : rank.toFixed(2);
      });
      const best = total && kept.length ? kept.filter((m, k) => sums[k] === Math.min(...sums)).map((m) => methods[m]).join(", ") : "";
      verdict.textContent = best ? `Best with these weights: ${best} (${kept.length} methods ranked).` : "No method is ranked with these weights.";
      const grid = tables.get(table);
      if (!grid) return;
      if (table.tHead.rows[0].cells[column].dataset.weighted === "later") return showColumn(table, column);
      grid.replaceData(rowsOf(table)).then(() => grid.setSort("c" + column, "asc"));
    };
    list.forEach((entry, n) => {
      const id = `weight-${home.dataset.weights}-${n}`;
      const slider = make("input", { type: "range", min: 0, max: 3, step: 0.5, id });
      slider.defaultValue = slider.value = entry.weight;
      const shown = make("output", { textContent: entry.weight });
      shown.htmlFor = id;
      slider.addEventListener("input", () => { shown.textContent = slider.value; reweigh(); });
      sliders.append(make("div", {}, make("label", { htmlFor: id, textContent: `${entry.task}, ${entry.metric}` }), slider, shown));
    });
    home.querySelector(".reset").addEventListener("click", () => {
      all("input", sliders).forEach((slider, n) => { slider.value = list[n].weight; slider.nextElementSibling.textContent = slider.value; });
      reweigh();
    });
  });

  // Words, shaded by their scores
  const chips = (tokens, scores) => {
    const most = Math.max(...scores.map(Math.abs)) || 1;
    const line = make("span", { className: "words" });
    tokens.forEach((token, n) => {
      const word = make("span", { className: scores[n] < 0 ? "word against" : "word", textContent: token, title: `${token}: ${scores[n]}` });
      word.style.setProperty("--share", (Math.abs(scores[n]) / most).toFixed(2));
      line.append(word, " ");
    });
    return line;
  };

  // Sentences
  const source = document.getElementById("sentences");
  if (source) {
    const { instances, metric } = data(source);
    const pick = document.getElementById("pick"), find = document.getElementById("find"), home = document.getElementById("instance");
    let shown = instances;
    document.querySelector(".picker").hidden = false;
    const words = (instance) => instance.tokens.join(" ");
    const fill = () => {
      const text = find.value.toLowerCase().trim();
      shown = instances.filter((instance) => [instance.id, instance.condition, words(instance)].join(" ").toLowerCase().includes(text));
      pick.replaceChildren(...shown.map((instance) => make("option", { value: instance.id, textContent: words(instance) })));
    };
    const show = (id) => {
      const instance = instances.find((candidate) => candidate.id === id);
      if (!instance) { home.replaceChildren(make("p", { textContent: "Nothing matches." })); return; }
      pick.value = id;
      history.replaceState(null, "", "#" + encodeURIComponent(id));
      const answer = instance.against ? `${instance.answer} rather than ${instance.against}` : instance.answer;
      const verdict = instance.correct === null ? "" : instance.correct ? "; the model is right" : `; the model is wrong: ${instance.predicted}`;
      const facts = make("p", {}, make("strong", { textContent: answer }), `${verdict}. `, make("span", { className: "note", textContent: [instance.id, instance.condition].filter(Boolean).join(", ") }));
      const body = make("tbody");
      instance.methods.forEach((method) => {
        const link = make("a", { textContent: method.label, href: document.body.dataset.root + method.page });
        const name = make("th", { scope: "row" }, link);
        const cell = method.tokens ? make("td", {}, chips(instance.tokens, method.tokens), method.draw ? make("span", { className: "note", textContent: " first draw" }) : "") : make("td", { className: "note", textContent: method.reason });
        const score = make("td", { className: "number", textContent: method.score == null ? "–" : method.score });
        body.append(make("tr", {}, name, cell, score));
      });
      const head = make("thead", {}, make("tr", {}, make("th", { scope: "col", textContent: "Method" }), make("th", { scope: "col", textContent: "Words" }), make("th", { scope: "col", className: "number", textContent: metric || "score" })));
      const table = make("table", { className: "plain side" }, head, body);
      const scroll = make("div", { className: "scroll", tabIndex: 0 }, table);
      scroll.setAttribute("role", "group");
      scroll.setAttribute("aria-label", "Word scores of every method");
      home.replaceChildren(facts, scroll);
    };
    const step = (by) => {
      const index = shown.findIndex((instance) => instance.id === pick.value);
      if (shown.length) show(shown[(index + by + shown.length) % shown.length].id);
    };
    find.addEventListener("input", () => { fill(); show(shown.length ? shown[0].id : ""); });
    pick.addEventListener("change", () => show(pick.value));
    document.getElementById("previous").addEventListener("click", () => step(-1));
    document.getElementById("next").addEventListener("click", () => step(1));
    fill();
    const linked = decodeURIComponent(location.hash.slice(1));
    show(instances.some((instance) => instance.id === linked) ? linked : instances[0].id);
  }

  // Two methods, sentence by sentence
  const paired = document.getElementById("paired");
  if (paired) {
    const { instances, metrics } = data(paired);
    const pickers = Object.fromEntries(["metric", "one", "other", "by"].map((id) => [id, document.getElementById(id)]));
    const home = document.getElementById("disagreements"), verdict = document.getElementById("difference");
    const ROWS = 200; // most that are shown
    const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x);
    const options = (picker, names) => picker.replaceChildren(...names.map((name) => make("option", { value: name, textContent: name })));
    // Spearman's correlation of two methods' word scores; null where one of them scores all words alike
    const agreement = (one, other) => {
      const [a, b] = [one, other].map((scores) => ranksOf(scores.map(Number))), middle = (a.length + 1) / 2;
      const product = (x, y) => x.reduce((sum, value, n) => sum + (value - middle) * (y[n] - middle), 0);
      const size = Math.sqrt(product(a, a) * product(b, b));
      return size ? product(a, b) / size : null;
    };
    const state = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    const chosen = () => metrics.find((entry) => entry.name === pickers.metric.value);
    const fill = (wanted) => {
      const { methods } = chosen();
      options(pickers.one, methods);
      options(pickers.other, methods);
      pickers.one.value = methods.includes(wanted.one) ? wanted.one : methods[0];
      pickers.other.value = methods.includes(wanted.other) ? wanted.other : methods.find((name) => name !== pickers.one.value);
    };
    const told = (entry, one, other) => {
      const [a, b] = [one, other].map((name) => entry.methods.indexOf(name));
      if (a === b) return "Choose two methods that differ.";
      const [low, high] = [Math.min(a, b), Math.max(a, b)], n = entry.methods.length;
      const pair = entry.pairs[low * n - (low * (low + 1)) / 2 + high - low - 1];
      const [value, from, to, p] = a < b ? pair : [-pair[0], pair[2] === null ? null : -pair[2], pair[1] === null ? null : -pair[1], pair[3]];
      const better = entry.higher === null ? "differs from" : (value > 0) === entry.higher ? "is better than" : "is worse than";
      const interval = from === null ? "" : ` [${from}, ${to}]`;
      const which = p !== null && p < 0.05 ? `${one} ${better} ${other}` : `${one} and ${other} cannot be separated`;
      return `${which} on ${entry.name}: ${signed(value)}${interval} on ${entry.shared} instances that every method has a score of; p = ${p === null ? "–" : +p.toPrecision(2)}, corrected over all pairs.`;
    };
    const show = () => {
      const entry = chosen(), one = pickers.one.value, other = pickers.other.value;
      const by = pickers.by.value, [a, b] = [one, other].map((name) => entry.scores[entry.methods.indexOf(name)]);
      history.replaceState(null, "", "#" + new URLSearchParams({ metric: entry.name, one, other, by }));
      verdict.textContent = told(entry, one, other);
      const rows = instances.map((instance, n) => {
        const words = instance.words && instance.words[one] && instance.words[other] ? [instance.words[one], instance.words[other]] : null;
        return { instance, words, scores: [a[n], b[n]], gap: a[n] === null || b[n] === null ? null : a[n] - b[n], agree: words ? agreement(...words) : null };
      }).filter((row) => (by === "words" ? row.agree : row.gap) !== null);
      rows.sort((x, y) => (by === "words" ? x.agree - y.agree : Math.abs(y.gap) - Math.abs(x.gap)));
      if (!rows.length) {
        home.replaceChildren(make("p", { className: "note", textContent: by === "words" ? "The board keeps no word scores of both methods." : "No instance has a score of both methods." }));
        return;
      }
      const wins = (sign) => rows.filter((row) => row.gap !== null && Math.sign(row.gap) === sign).length;
      const counts = make("p", { className: "note", textContent: `${one} has the larger score on ${wins(1)} of ${rows.length} instances shown, ${other} on ${wins(-1)}; they are equal on ${wins(0)}.` });
      const body = make("tbody");
      const number = (x) => make("td", { className: "number", textContent: x === null ? "–" : String(+x.toPrecision(3)) });
      rows.slice(0, ROWS).forEach(({ instance, words, scores, gap, agree }) => {
        const name = make("th", { scope: "row" }, make("span", { textContent: instance.id }), " ", make("span", { className: "note", textContent: instance.condition }));
        if (words) words.forEach((of, n) => name.append(make("div", {}, chips(instance.tokens, of), " ", make("span", { className: "note", textContent: n ? other : one }))));
        body.append(make("tr", {}, name, number(scores[0]), number(scores[1]), number(gap), number(agree)));
      });
      const head = ["Instance", one, other, "Difference", "Words agree"].map((textContent, n) => make("th", { scope: "col", textContent, className: n ? "number" : "" }));
      const scroll = make("div", { className: "scroll", tabIndex: 0 }, make("table", { className: "plain" }, make("thead", {}, make("tr", {}, ...head)), body));
      scroll.setAttribute("role", "group");
      scroll.setAttribute("aria-label", "Instances on which the two methods disagree most first");
      const rest = rows.length > ROWS ? [make("p", { className: "note", textContent: `and ${rows.length - ROWS} more` })] : [];
      home.replaceChildren(counts, scroll, ...rest);
    };
    const read = () => {
      const wanted = state();
      pickers.metric.value = metrics.some((entry) => entry.name === wanted.metric) ? wanted.metric : metrics[0].name;
      pickers.by.value = wanted.by === "words" ? "words" : "scores";
      fill(wanted);
      show();
    };
    options(pickers.metric, metrics.map((entry) => entry.name));
    document.getElementById("pair").hidden = false;
    pickers.metric.addEventListener("change", () => { fill({ one: pickers.one.value, other: pickers.other.value }); show(); });
    ["one", "other", "by"].forEach((id) => pickers[id].addEventListener("change", show));
    addEventListener("hashchange", read);
    read();
  }

  reveal();
  paint();
})();
