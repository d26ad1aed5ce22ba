"use strict";
// The run, and helpers. Text of the run reaches the page through text nodes and attributes only, never as markup.
const run = JSON.parse(document.getElementById("run").textContent);
const { dim: D, length: T, stride, batch: B, vocabulary: V, lr } = run.settings;
const COLUMNS = D > 6 ? 4 : 6; // of a row of D numbers, so that two tables and the arrows between them fit
const ids = run.inputs.flat(), places = ids.map((_, k) => [Math.floor(k / T), k % T]);
const repeated = ids.find((id, k) => ids.indexOf(id) < k) ?? ids[0];
const $ = (id) => document.getElementById(id);
const range = (n) => [...Array(n).keys()];
const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(9).filter((child) => child !== undefined));
  return node;
}

/** Four digits, so that columns can be compared; an exact zero is "0", and what would round to zero says so. */
function show(x) {
  if (x === 0) return "0";
  return (Math.abs(x) < 5e-5 ? x.toExponential(1) : x.toFixed(4)).replace(/^-/, "−");
}

/** What does not show, or changes how its neighbours do, spelt out. */
const visible = (text) => text.replace(/\n/g, "⏎").replace(/\t/g, "⇥")
  .replace(/(?! )[\p{Cc}\p{Cf}\p{Z}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** A token's text, spaces made visible, in a direction of its own. */
const spelt = (id) => el("bdi", { class: "text" }, visible(run.spelling[id][0]).replace(/ /g, "␣"));

const used = [...new Set(ids)];
const color = (id) => (used.includes(id) ? `c${used.indexOf(id) % 7}` : "");
const named = (id) => [el("span", { class: `id ${color(id)}` }, `${id} `), spelt(id)];
const place = (k) => `[${places[k].join(", ")}]`;
const placed = (k) => [`${place(k)} `, ...named(ids[k])];

/**
 * A matrix as a table. `name` goes into data-cell, "panel/array/i.j", where the tests read; head(i) stands before row i,
 * mark(i) behind it, column(j) above; rowIds[i] is the token id that row i belongs to; cls(i, j) a class for a cell; of long
 * rows the first `most` numbers are drawn.
 */
function matrix({ name, title, shape, rows, head, mark, rowIds, column, cls, kind = "", key = (i) => i, format = show, most = COLUMNS }) {
  const cell = (x, i, j) => {
    const classes = [x === 0 ? "zero" : "", cls?.(i, j) ?? ""].join(" ").trim();
    return el("td", { "data-cell": `${name}/${key(i)}.${j}`, class: classes || undefined }, format(x));
  };
  return el("table", { class: `matrix ${kind}` },
    el("caption", null, title, shape ? el("small", null, ` (${shape.join(", ")})`) : undefined),
    column ? el("thead", null, el("tr", null, head ? el("td", { class: "mark" }) : undefined,
      rows[0].map((_, j) => el("th", { scope: "col" }, column(j))))) : undefined,
    el("tbody", null, rows.map((row, i) =>
      el("tr", { "data-id": rowIds?.[i], "data-row": key(i) },
        head ? el("th", { scope: "row" }, head(i)) : undefined,
        row.slice(0, most).map((x, j) => cell(x, i, j)),
        row.length > most ? el("td", { class: "mark" }, "…") : undefined,
        mark ? el("td", { class: "mark" }, mark(i)) : undefined))));
}

const tableOf = (name, title, rows, more) => matrix({
  name, title, rows, shape: [V, D], head: (i) => named(run.rows[i]), rowIds: run.rows, key: (i) => run.rows[i], ...more,
});
/** One (T, D) matrix for each sequence of a (B, T, D) array. */
const sequence = (name, title, array, b, more) => matrix({
  name, title, rows: array[b], key: (t) => `${b}.${t}`, rowIds: run.inputs[b], head: (t) => named(run.inputs[b][t]), ...more,
});
const leftOut = () => el("p", null,
  `This batch reads ${count(used.length, "row")}. Those with a grey bar are drawn for comparison: it does not read them, nor the `,
  `${count(V - run.rows.length, "row")} that are not drawn.`);

/** Where a view is wider than the screen it says so, and can be scrolled by keyboard. */
function hints() {
  for (const view of document.querySelectorAll(".view")) {
    const wide = view.scrollWidth > view.clientWidth + 2;
    view.classList.toggle("wide", wide);
    if (wide) view.tabIndex = 0;
    else view.removeAttribute("tabindex");
  }
}

/** Curves from one row to another, over `view`; only where they stand side by side. */
function arrows(view, pairs) {
  view.querySelector("svg.arrows")?.remove();
  const origin = view.getBoundingClientRect(), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "arrows");
  svg.setAttribute("aria-hidden", "true");
  for (const [from, to, now] of pairs) {
    const a = from.getBoundingClientRect(), b = to.getBoundingClientRect();
    if (b.left < a.right + 8) continue;
    const x1 = a.right - origin.left + view.scrollLeft + 3, x2 = b.left - origin.left + view.scrollLeft - 3;
    const y1 = (a.top + a.bottom) / 2 - origin.top, y2 = (b.top + b.bottom) / 2 - origin.top, bend = (x2 - x1) / 2;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2} m-6,-4 l6,4 l-6,4`);
    if (now) path.setAttribute("class", "now");
    svg.append(path);
  }
  view.append(svg);
}

// ------------------------------------------------------------------------------------------------------------- words

function say(name, text) {
  for (const node of document.querySelectorAll(`[data-say="${name}"]`)) node.textContent = text;
}
say("batch", count(B, "window"));
say("text", visible(run.text));
say("notes", [...run.notes, ...(D > 6 ? [`Of the ${D} numbers in a row the first ${COLUMNS} are drawn; all of them are computed.`] : [])].join(" "));
say("dim", count(D, "number"));
say("vocabulary", V.toLocaleString("en"));
say("place-shape", `(${T}, ${D})`);
say("B", B);
say("classes", run.classes.length);
say("lr", lr);
say("footer", `seed ${run.settings.seed}, dim ${D}, length ${T}, stride ${stride}, batch ${B}; float32. This page fetches and sends nothing.`);

// -------------------------------------------------------------------------------------------------------------- tape

const PAGE = 120, BARS = 8; // tokens, and windows, drawn at once
let firstToken = 0;

/** The windows of the tape under the controls, as the loader makes them. */
function windows() {
  const n = run.tokens.length, length = Number($("length").value), step = Number($("stride").value);
  const found = range(Math.ceil((n - length) / step)).map((i) => ({ start: i * step, length }));
  const kept = $("drop-last").checked ? found.length - found.length % B : found.length;
  return found.map((w, i) => ({ ...w, dropped: i >= kept }));
}

function drawTape() {
  const n = run.tokens.length, all = windows(), kept = all.filter((w) => !w.dropped);
  const inputs = Array(n).fill(0), targets = Array(n).fill(0);
  for (const { start, length } of kept)
    for (const i of range(length)) inputs[start + i]++, targets[start + i + 1]++;
  const unused = range(n).filter((i) => !inputs[i] && !targets[i]);
  const batches = Math.ceil(kept.length / B);
  $("tape-status").textContent = [
    `${count(n, "token")}, ${count(kept.length, "window")} in ${batches} batch${batches === 1 ? "" : "es"} of up to ${B}.`,
    $("drop-last").checked ? `drop_last leaves out ${count(all.length - kept.length, "window")}.` : "",
    `Tokens that are never an input: ${inputs.filter((c) => !c).length}; never a target: ${targets.filter((c) => !c).length};`,
    unused.length ? `never either: ${unused.length}, in red with a dashed frame.` : "never either: 0.",
  ].filter(Boolean).join(" ");

  const view = $("tape-view"), last = Math.min(n, firstToken + PAGE), wide = matchMedia("print").matches ? 680 : view.clientWidth;
  const across = Math.max(3, Math.min(last - firstToken, Math.floor(wide / 84)));
  const bars = all.filter((w) => w.start < last && w.start + w.length >= firstToken).slice(0, BARS), lines = [];
  for (let from = firstToken; from < last; from += across) {
    const to = Math.min(from + across, last);
    const chips = range(to - from).map((i) => from + i).map((i) => el("div",
      { class: `chip ${color(run.tokens[i])} ${inputs[i] || targets[i] ? "" : "unused"}`, "data-id": run.tokens[i], style: `grid-row:1;grid-column:${i - from + 1}` },
      el("b", null, spelt(run.tokens[i])),
      el("span", { "data-cell": `tape/id/${i}` }, run.tokens[i]),
      el("span", { title: "bytes" }, run.spelling[run.tokens[i]][1]),
      el("span", null, "input ", el("b", { "data-cell": `tape/input/${i}` }, inputs[i]), "×"),
      el("span", null, "target ", el("b", { "data-cell": `tape/target/${i}` }, targets[i]), "×"),
      inputs[i] || targets[i] ? undefined : el("span", null, "unused")));
    const strips = bars.flatMap((w) => [["input", 0], ["target", 1]].map(([role, shift]) => {
      const a = w.start + shift, b = a + w.length, start = Math.max(a, from), end = Math.min(b, to);
      if (start >= end) return undefined;
      const edges = `${start > a ? "from-before" : ""} ${end < b ? "goes-on" : ""}`;
      return [start, end, el("div", { class: `bar ${role} ${w.dropped ? "dropped" : ""} ${edges}` },
        `${start > a ? "… " : ""}${role} ${all.indexOf(w)}${w.dropped ? " dropped" : ""}`)];
    })).filter(Boolean);
    strips.forEach(([start, end, bar], r) => {
      bar.style.gridRow = r + 2;
      bar.style.gridColumn = `${start - from + 1} / ${end - from + 1}`;
    });
    lines.push(el("div", { class: "tape", style: `grid-template-columns:repeat(${across}, minmax(0, 1fr))` }, chips, strips.map((s) => s[2])));
  }
  const more = [];
  if (n > PAGE) {
    const turn = (by) => (event) => { // the buttons are drawn anew, and the focus goes on
      firstToken += by;
      drawTape();
      ($(event.target.id).disabled ? view.querySelector("button:enabled") : $(event.target.id)).focus();
    };
    more.push(el("div", { class: "controls" },
      el("button", { type: "button", id: "earlier", disabled: firstToken === 0, onclick: turn(-PAGE) }, "‹ earlier tokens"),
      el("button", { type: "button", id: "later", disabled: last === n, onclick: turn(PAGE) }, "later tokens ›"),
      `tokens ${firstToken} to ${last - 1} of ${n.toLocaleString("en")}`));
  }
  if (all.length > bars.length) more.push(el("p", null, `Drawn: ${bars.length} of ${count(all.length, "window")}.`));
  view.replaceChildren(...more, ...lines);
  light(lit);
}

function asRun() {
  $("length").max = run.tokens.length - 1;
  $("stride").max = Math.max(run.tokens.length - 1, stride);
  $("length").value = T;
  $("stride").value = stride;
  $("drop-last").checked = false;
  drawTape();
}
for (const id of ["length", "stride"])
  $(id).addEventListener("change", () => {
    const value = Math.round(Number($(id).value)) || 1; // what is not a window becomes the nearest that is
    $(id).value = Math.min(Math.max(value, 1), $(id).max);
    drawTape();
  });
$("drop-last").addEventListener("change", drawTape);
$("as-run").addEventListener("click", asRun);

// ------------------------------------------------------------------------------------------------------------ gather

let lit = repeated, pinned = repeated;

function drawGather() {
  const button = (id, k) => el("button",
    { type: "button", class: `id ${color(id)}`, "data-id": id, "data-k": k, "aria-label": `${id} ${visible(run.spelling[id][0])} at ${place(k)}`, onclick: () => { pinned = id; light(id); } },
    `${id} `, spelt(id));
  const batch = (b) => el("table", { class: "matrix ids" },
    el("caption", null, `ids[${b}]`, el("small", null, ` (${T})`)),
    el("tbody", null, range(T).map((t) => el("tr", null,
      el("td", { "data-cell": `gather/ids/${b}.${t}` }, button(run.inputs[b][t], b * T + t))))));
  $("gather-view").replaceChildren(el("div", { class: "row" },
    tableOf("gather/table", "table", run.table),
    el("div", { class: "stack" }, range(B).map(batch)),
    el("div", { class: "stack" }, range(B).map((b) => sequence("gather/output", `table[ids][${b}]`, run.gathered, b, { shape: [T, D] }))),
  ), leftOut());
}

const placesOf = (id) => range(ids.length).filter((k) => ids[k] === id);
const listed = (ks) => ks.slice(0, 6).map(place).join(ks.length > 2 ? ", " : " and ") + (ks.length > 6 ? ", …" : "");
function whereabouts(id) {
  const at = placesOf(id);
  return [`id ${id} `, spelt(id), at.length
    ? ` stands at ${listed(at)}: ${at.length === 1 ? "1 copy" : `${at.length} copies`} of row ${id}.`
    : ` is not in this batch: its row is not copied.`];
}

/** Lights an id wherever it stands on the page, and says where that is. */
function light(id) {
  lit = id;
  for (const node of document.querySelectorAll("[data-id]")) node.classList.toggle("lit", Number(node.dataset.id) === id);
  const at = placesOf(id);
  $("gather-status").replaceChildren(...whereabouts(id));
  for (const b of document.querySelectorAll("button.id")) b.setAttribute("aria-pressed", Number(b.dataset.id) === pinned);
  const view = $("gather-view"), row = view.querySelector(`tr[data-row="${id}"]`);
  const buttons = at.map((k) => view.querySelector(`button[data-k="${k}"]`).closest("td"));
  const copies = at.map((k) => view.querySelector(`tr[data-row="${places[k].join(".")}"]`));
  arrows(view, row ? at.flatMap((_, i) => [[row, buttons[i], true], [buttons[i], copies[i], true]]) : []);
}
const idAt = (event) => Number(event.target.closest?.("[data-id]")?.dataset.id ?? pinned);
for (const event of ["pointerover", "focusin"])
  document.addEventListener(event, (e) => { if (idAt(e) in run.spelling && idAt(e) !== lit) light(idAt(e)); });

// --------------------------------------------------------------------------------------------------------- positions

function drawPositions() {
  const wrong = $("wrong-axis").getAttribute("aria-pressed") === "true", { n, right, wrong: result, outcome } = run.wrong_axis;
  const at = (t) => `position ${t}`, table = matrix({
    name: "positions/table", title: "position table", shape: [T, D], rows: run.positions, head: at,
  });
  const ghost = (b, rows, head, title) => matrix({
    name: "positions/ghost", title, rows, head, kind: "ghost", key: (t) => `${b}.${t}`,
  });
  const size = wrong ? n : B, long = wrong ? n : T;
  const lines = range(size).map((b) => {
    const copy = wrong ? range(long).map(() => run.positions[b]) : run.positions;
    const sum = wrong ? result : run.x;
    const differs = (t, j) => (wrong && sum[b][t][j] !== right[b][t][j] ? "differs" : "");
    return el("div", { class: "row" },
      sequence("positions/tokens", `table[ids][${b}]`, run.gathered.map((s) => s.slice(0, long)), b),
      el("span", { class: "sign" }, "+"),
      ghost(b, copy, (t) => at(wrong ? b : t), wrong ? `position ${b}, for all of sequence ${b}` : `the position table, seen by sequence ${b}`),
      el("span", { class: "sign" }, "="),
      sequence("positions/x", `x[${b}]`, sum, b, { cls: differs, kind: "checked" }));
  });
  $("positions-status").textContent = wrong
    ? `positions.unsqueeze(1) pairs the ${count(T, "position")} with the ${count(B, "sequence")} instead of the places. Here that gives ${outcome}. ` +
      (n > 1 ? `${B === T ? "There are as many places as sequences, so" : `But with as many places as sequences, ${n} and ${n} as below,`} ` +
        `nothing complains, and every token of a sequence gets the same position: ≠ marks what differs from the right sum.`
        : T > 1 ? `One sequence was repeated for each of the ${T} positions: the shape is wrong, and nothing complains.`
          : `With one place there is one position for all, so it is the right sum.`)
    : `Each sequence adds the same (${T}, ${D}) table; nothing is copied.`;
  $("positions-view").replaceChildren(el("div", { class: "row" }, table), ...lines);
}
function toggled(id, draw) {
  $(id).addEventListener("click", () => {
    $(id).setAttribute("aria-pressed", $(id).getAttribute("aria-pressed") !== "true");
    draw();
    light(lit);
    hints();
  });
}
toggled("wrong-axis", drawPositions);

// -------------------------------------------------------------------------------------------------------------- loss

function drawLoss() {
  const targets = run.targets.flat(), column = (j) => [`${run.classes[j]} `, spelt(run.classes[j])];
  const target = (k, j) => (run.classes[j] === targets[k] ? "target" : "");
  const losses = run.losses.flat(), K = run.classes.length;
  const flat = (name, title, shape, array, more) => matrix({ name, title, shape, rows: array.flat(), head: placed, rowIds: ids, ...more });
  $("loss-view").replaceChildren(
    el("div", { class: "row" }, flat("loss/probabilities", "probability of each next token, the target framed", [B, T, K], run.probabilities, {
      column, cls: target, most: K,
      mark: (k) => ["−ln p = ", el("span", { "data-cell": `loss/losses/${places[k].join(".")}` }, show(losses[k]))],
    })),
    el("p", null, "loss = the mean of these ", count(losses.length, "number"), " = ", el("b", { "data-cell": "loss/loss/" }, show(run.loss))),
    el("div", { class: "row" }, flat("loss/g", "g, the cotangent of x", [B, T, D], run.g)),
    el("p", null, `g = d @ head / ${losses.length}, where d is the probability, minus 1 in the framed cell: how much too likely each token was. `,
      `The division is there because the loss is a mean of ${losses.length}.`),
    el("details", null, el("summary", null, "The scores, and the layer that made them"),
      el("div", { class: "row" }, flat("loss/logits", "scores = x @ headᵀ", [B, T, K], run.logits, { column, most: K }),
        matrix({ name: "loss/head", title: "head", shape: [K, D], rows: run.head, head: (i) => named(run.classes[i]), rowIds: run.classes }))));
}

// ---------------------------------------------------------------------------------------------------------- backward

const G = run.g.flat();
const nth = ids.map((id, k) => ids.slice(0, k + 1).filter((other) => other === id).length);
const times = (id) => ids.filter((other) => other === id).length;

/** What `steps` contributions have made of the gradients, in float32 and in the order of the ids, as the engine adds. */
function gradients(steps, lossy) {
  const table = new Map(run.rows.map((id) => [id, Array(D).fill(0)])), positions = range(T).map(() => Array(D).fill(0));
  for (const k of range(steps)) {
    const add = (row) => row.map((x, j) => Math.fround(x + G[k][j])), t = places[k][1];
    table.set(ids[k], lossy ? G[k].map((x) => Math.fround(0 + x)) : add(table.get(ids[k])));
    positions[t] = add(positions[t]);
  }
  return { table: run.rows.map((id) => table.get(id)), positions };
}

function drawBackward() {
  const steps = Number($("step").value), lossy = $("lossy").getAttribute("aria-pressed") === "true", now = steps - 1;
  const { table, positions } = gradients(steps, lossy), sum = gradients(steps, false).table;
  const shared = range(run.rows.length).filter((i) => times(run.rows[i]) > 1); // rows that have something to lose
  const lost = shared.map((i) => range(D).map((j) => Math.fround(sum[i][j] - table[i][j])));
  const mark = (i) => {
    const id = run.rows[i], so = ids.slice(0, steps).filter((other) => other === id).length, all = times(id);
    if (!all) return "none";
    return lossy && so > 1 ? `1 of ${so} kept` : `${so} of ${all}`;
  };
  const view = $("backward-view");
  const lossyCells = (i, j) => (lossy && table[i][j] !== sum[i][j] ? "differs" : "");
  const right = [
    tableOf("backward/table_grad", lossy ? "after grad[ids] += g" : "gradient of the table", table, { mark, cls: lossyCells, kind: "checked" }),
    matrix({
      name: "backward/position_grad", title: "gradient of the position table", shape: [T, D], rows: positions,
      head: (t) => `position ${t}`, kind: "checked places",
      mark: (t) => `${range(steps).filter((k) => places[k][1] === t).length} of ${B}`,
    }),
  ];
  if (lossy && shared.length) right.splice(1, 0, tableOf("backward/lost", "lost = right gradient − this", lost, {
    kind: "checked", shape: undefined, head: (i) => named(run.rows[shared[i]]), rowIds: shared.map((i) => run.rows[i]), key: (i) => run.rows[shared[i]],
  }));
  view.replaceChildren(el("div", { class: "row" },
    el("div", { class: "stack" }, range(B).map((b) => sequence("backward/g", `g[${b}]`, run.g, b,
      { shape: [T, D], head: (t) => placed(b * T + t) }))),
    el("div", { class: "stack same" }, right)), leftOut());
  const source = (k) => view.querySelector(`tr[data-row="${places[k].join(".")}"]`);
  const row = (k) => view.querySelector(`tr[data-row="${ids[k]}"]`), slot = (k) => view.querySelector(`.places tr[data-row="${places[k][1]}"]`);
  if (steps) for (const node of [source(now), row(now), slot(now)]) node.classList.add("now");
  arrows(view, range(steps).flatMap((k) => [[source(k), row(k), k === now], ...(k === now ? [[source(k), slot(k), true]] : [])]));

  $("backward-status").replaceChildren(...told(steps, lossy));
  for (const [id, off] of [["first", !steps], ["back", !steps], ["next", steps === ids.length], ["last", steps === ids.length]]) $(id).disabled = off;
  $("step").setAttribute("aria-valuetext", `${steps} of ${ids.length}`);
}

/** What there is to say of a step. */
function told(steps, lossy) {
  const now = steps - 1, end = steps === ids.length, { table } = gradients(steps, lossy), sum = gradients(steps, false).table;
  const before = steps && gradients(now, lossy).table[run.rows.indexOf(ids[now])][0], wrong = table.flat().filter((x, c) => x !== sum.flat()[c]).length;
  const words = [`Step ${steps} of ${ids.length}. `];
  if (!steps) words.push("All gradients are zero. Press next.");
  else if (lossy && nth[now] > 1) words.push(`g${place(now)} overwrites row ${ids[now]} `, spelt(ids[now]),
    `: grad[ids] += g reads the row for every place first, and all of them read 0; then each writes 0 + its own g, and the last one stays. `);
  else {
    words.push(`g${place(now)} is added to row ${ids[now]} `, spelt(ids[now]), `: contribution ${nth[now]} of ${times(ids[now])}`);
    words.push(nth[now] > 1 ? `; first number: ${show(before)} + ${show(G[now][0])} = ${show(Math.fround(before + G[now][0]))}, rounded. ` : ". ");
  }
  if (steps && !end) words.push(`It is also added to position ${places[now][1]}. `);
  if (lossy && steps) words.push(`${count(wrong, "number")} ${wrong === 1 ? "is" : "are"} wrong${end ? ", and nothing complained" : " so far"}.`);
  if (end && !lossy) words.push(`Done: ${count(used.length, "row")} got a gradient, ${(V - used.length).toLocaleString("en")} stayed zero.`);
  return words;
}

function goTo(steps) {
  $("step").value = Math.min(Math.max(steps, 0), ids.length);
  const focused = document.activeElement;
  drawBackward();
  const at = Number($("step").value);
  light(at ? ids[at - 1] : pinned);
  if (focused?.disabled) $(focused.id === "next" || focused.id === "last" ? "back" : "next").focus();
}
$("step").max = ids.length;
for (const [id, to] of [["first", () => 0], ["back", () => -1], ["next", () => 1], ["last", () => ids.length]])
  $(id).addEventListener("click", () => goTo(id === "first" || id === "last" ? to() : Number($("step").value) + to()));
$("step").addEventListener("input", () => goTo(Number($("step").value)));
toggled("lossy", drawBackward);

// ---------------------------------------------------------------------------------------------------------- product

const size = (bytes) => {
  const unit = ["bytes", "kB", "MB", "GB"], power = bytes < 1000 ? 0 : Math.min(3, Math.floor((bytes.toExponential(2).split("e")[1]) / 3)); // of the rounded number
  return power ? `${(bytes / 1000 ** power).toPrecision(3)} ${unit[power]}` : `${bytes} bytes`;
};

/** Bytes that must be read and written, at 4 a number and 8 an id; N ids, v rows. The product also needs X itself. */
function bytesMoved(v) {
  const N = B * T;
  return {
    gather: 8 * N + 4 * N * D + 4 * N * D, // ids, rows read, rows written
    product: 4 * N * v + 4 * v * D + 4 * N * D, // X, the whole table, the result
    scatter_add: 8 * N + 4 * N * D + 4 * used.length * D, // ids, g, the rows that were read
    product_grad: 4 * N * v + 4 * N * D + 4 * v * D, // X, g, a gradient for every row
  };
}

function drawProduct() {
  const onehot = ids.map((id) => run.rows.map((row) => Number(row === id)));
  const transposed = run.rows.map((_, i) => onehot.map((row) => row[i])), N = ids.length, R = run.rows.length;
  const digit = { kind: "small", format: String, most: Infinity };
  const echo = (rows) => ({ kind: "echo", head: (i) => named(rows[i]), rowIds: rows });
  const sign = (text) => el("span", { class: "sign" }, text);
  const here = bytesMoved(R), full = bytesMoved(V);
  const line = (what, a, b) => el("tr", null, el("th", { scope: "row" }, what),
    [["here", here], ["full", full]].flatMap(([where, moved]) => [a, b].map((key) => el("td", { "data-cell": `product/bytes/${where}.${key}` }, size(moved[key])))));
  $("product-view").replaceChildren(
    el("div", { class: "row" },
      matrix({ name: "product/X", title: "X", shape: [N, R], rows: onehot, head: placed, rowIds: ids, column: (j) => run.rows[j], ...digit }), sign("@"),
      tableOf("product/table", "table, the rows drawn", run.table, { shape: [R, D] }), sign("="),
      matrix({ name: "product/output", title: "table[ids]", shape: [N, D], rows: run.product, ...echo(ids) })),
    el("div", { class: "row" },
      matrix({ name: "product/XT", title: "Xᵀ", shape: [R, N], rows: transposed, head: (i) => named(run.rows[i]), rowIds: run.rows, column: place, ...digit }), sign("@"),
      matrix({ name: "product/g", title: "g", shape: [N, D], rows: G, rowIds: ids, head: placed }), sign("="),
      matrix({ name: "product/grad", title: "gradient", shape: [R, D], rows: run.product_grad, ...echo(run.rows) })),
    el("table", { class: "bytes" },
      el("caption", null, "bytes read and written"),
      el("thead", null,
        el("tr", null, el("td"), el("th", { colspan: 2, scope: "colgroup" }, `these ${R} rows`), el("th", { colspan: 2, scope: "colgroup" }, `all ${V.toLocaleString("en")} rows`)),
        el("tr", null, el("td", null, "4 a number, 8 an id"), ...[0, 1].flatMap(() => [el("th", { scope: "col" }, "row by row"), el("th", { scope: "col" }, "as a product")]))),
      el("tbody", null, line("forward", "gather", "product"), line("backward", "scatter_add", "product_grad"))));
}

// -------------------------------------------------------------------------------------------------------------- sgd

function drawSGD() {
  const sign = (text) => el("span", { class: "sign" }, text);
  const moved = run.rows.map((id, i) => (run.table[i].some((x, j) => x !== run.table_after[i][j]) ? "moved" : "same"));
  $("sgd-status").replaceChildren(
    `${count(run.rows_with_gradient, "row")} of ${V.toLocaleString("en")} moved, and so did the position table. The loss of this batch was `,
    el("b", { "data-cell": "sgd/loss/before" }, show(run.loss)), " and is now ", el("b", { "data-cell": "sgd/loss/after" }, show(run.loss_after)), ".");
  const at = (t) => `position ${t}`, bare = (name, title, rows, more) => tableOf(name, title, rows, { kind: "echo", shape: undefined, ...more });
  const spot = (name, title, rows, kind = "echo") => matrix({ name, title, rows, kind, head: at });
  $("sgd-view").replaceChildren(
    el("div", { class: "row" },
      tableOf("sgd/before", "table before", run.table), sign(`− ${lr} ·`), bare("sgd/grad", "gradient", run.table_grad), sign("="),
      bare("sgd/after", "table after", run.table_after, { mark: (i) => moved[i] })),
    el("div", { class: "row" },
      spot("sgd/positions", "position table before", run.positions, ""), sign(`− ${lr} ·`), spot("sgd/position_grad", "gradient", run.position_grad),
      sign("="), spot("sgd/positions_after", "position table after", run.positions_after)));
}

// ------------------------------------------------------------------------------------------------- questions, the code

function drawQuestions() {
  const at = range(ids.length).filter((k) => ids[k] === repeated), twice = at.length > 1;
  const distinct = used.length;
  const questions = [
    ["Which rows of the table get a gradient?", [`Those whose ids are in the batch: ${distinct} of ${V.toLocaleString("en")}, here `, used.map((id, i) => [i ? ", " : "", `${id} `, spelt(id)]), ". All others keep a gradient of zero."]],
    ["Why does one row get more than one contribution?", twice
      ? [`Because its id stands in the batch more than once. ${repeated} `, spelt(repeated), ` stands at ${listed(at)}: the row was copied to all these places, the loss depends on it through each of them, and their g add up.`]
      : ["It would if its id stood in the batch more than once. Here every id stands once; a longer text has repeats."]],
    ["What does grad[ids] += g lose?", [
      "NumPy reads grad[ids], adds g, and writes the result back: for an id that repeats, each write replaces the one before, and only the last contribution is left. ",
      twice ? [`Row ${repeated} keeps g${place(at.at(-1))} and loses what came from ${listed(at.slice(0, -1))}. Press the button in panel 5.`]
        : "Here no id repeats, and nothing is lost: so the mistake goes unnoticed until a text has a repeat."]],
    ["Where did the batch axis go in the position table?", [
      `It was summed away. Row t of the table was added to place t of every sequence, so its gradient is the sum of all g[b, t]: shape (${B}, ${T}, ${D}) becomes (${T}, ${D}).`]],
  ];
  $("check-view").replaceChildren(...questions.map(([q, a]) => el("details", null, el("summary", null, q), el("p", null, a))));
}

for (const [panel, parts] of Object.entries(run.code))
  $(panel).append(el("details", { class: "code" }, el("summary", null, "The code: the engine's lines that did this"),
    parts.map(({ name, file, line, source }) => [el("p", null, el("b", null, name), ` in ${file}, line ${line}`), el("pre", { tabindex: 0 }, source)])));

// ------------------------------------------------------------------------------------------------------------- start

/** Room for the longest that a status line has to say, so that nothing below it moves. */
function room(id, texts) {
  const probe = el("p", { class: "status", "aria-hidden": "true", style: "visibility: hidden; min-height: 0" });
  $(id).before(probe);
  $(id).style.minHeight = `${Math.max(...texts.map((text) => { probe.replaceChildren(...text); return probe.offsetHeight; }))}px`;
  probe.remove();
}
function rooms() {
  room("gather-status", run.rows.map(whereabouts));
  room("backward-status", range(ids.length + 1).flatMap((steps) => [told(steps, true), told(steps, false)]));
}

function drawAll() { drawTape(); rooms(); drawBackward(); light(lit); hints(); }
drawGather();
drawPositions();
drawLoss();
drawProduct();
drawSGD();
drawQuestions();
asRun();
goTo(0);
rooms();
hints();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
let before;
addEventListener("beforeprint", () => { before = $("step").value; $("step").value = ids.length; drawAll(); }); // the last step stands for all
addEventListener("afterprint", () => { $("step").value = before; drawAll(); });
