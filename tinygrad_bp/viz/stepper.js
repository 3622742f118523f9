"use strict";
/* Shows the record in #record at one step: what is lit, what flows, what is added up. It decides nothing and computes nothing:
   even the wrong gradients of “what if” are in the record. `show(k)` is the one function that draws; read it first. */
const R = JSON.parse(document.getElementById("record").textContent);
const $ = (id) => document.getElementById(id);
const V = R.vertices, S = R.steps, A = R.arrays;
let now = 0, timer = null, open = new Set();

function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "path", "text", "title"].includes(tag);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) k === "math" ? (e.innerHTML = v) : e.setAttribute(k, v);
  e.append(...children);
  return e;
}

/* w^2 and u_1 as the book prints them. */
const LOW = "₀₁₂₃₄₅₆₇₈₉", HIGH = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const pretty = (text) => text.replace(/\^(\d+)/g, (_, d) => [...d].map((c) => HIGH[c]).join("")).replace(/_(\d+)/g, (_, d) => [...d].map((c) => LOW[c]).join(""));

/* … and as elements, for indices that are letters. */
const indices = (text) => text.split(/([_^](?:\{[^}]*\}|[A-Za-z0-9]+))/).map((part) => (/^[_^]/.test(part) ? el(part[0] === "_" ? "sub" : "sup", {}, part.slice(1).replace(/[{}]/g, "")) : part));

/* ---- when things come out --------------------------------------------------------------------------------- */
const born = V.map((v) => (v.kind === "op" ? Infinity : 0)), complete = V.map(() => Infinity), equation = {};
S.forEach((s, k) => {
  if (s.kind === "forward") born[s.v] = k;
  if (s.kind === "seed") complete[s.v] = k;
  if (s.kind === "edge" && s.done) { complete[s.p] = k; if (s.bp) equation[s.p] = s.bp; }
});
const wrongly = () => $("whatif").checked;
const gradient = (v) => (wrongly() ? V[v].wrong : V[v].grad);

/* ---- numbers ---------------------------------------------------------------------------------------------- */
const number = (x) => (Array.isArray(x) ? number(x[0]) : typeof x === "string" ? Number(x) : x);
const exact = (x) => (Array.isArray(x) ? `${x[0]} + ${x[1]}i` : String(x));
const brief = (x) => { const n = number(x); return Array.isArray(x) || !isFinite(n) ? exact(x) : n === 0 || Number.isInteger(n) && Math.abs(n) < 1e5 ? String(n) : Math.abs(n) < 1e-3 || Math.abs(n) >= 1e5 ? n.toExponential(1) : n.toFixed(3); };
const dark = () => document.documentElement.dataset.theme === "dark";
function colour(x, most) {
  const n = number(x), t = most ? Math.min(1, Math.abs(n) / most) : 0;
  if (!isFinite(n)) return ["#b00020", "#fff"];
  const end = n < 0 ? [178, 88, 0] : [33, 82, 160], middle = dark() ? [36, 39, 45] : [250, 250, 250];
  const c = middle.map((m, i) => Math.round(m + (end[i] - m) * t));
  const light = c.map((u) => ((u /= 255) <= 0.03928 ? u / 12.92 : ((u + 0.055) / 1.055) ** 2.4)).reduce((s, u, i) => s + u * [0.2126, 0.7152, 0.0722][i], 0);
  return [`rgb(${c})`, light > 0.179 ? "#000" : "#fff"];
}
function place(a, k) {
  let flat = a.at ? a.at[k] : k;
  const index = [];
  for (const n of [...a.shape].reverse()) { index.unshift(flat % n); flat = Math.floor(flat / n); }
  return index.length ? `[${index.join(", ")}]` : "";
}
/* An array as a heatmap: its numbers written in the cells where there are few, else a picture; all tell their exact number. */
function heat(number_, name, small) {
  if (number_ === null || number_ === undefined) return el("span", {}, "–");
  const a = A[number_];
  if (a.parts) return el("div", {}, ...a.parts.map((p, i) => heat(p, `${name}, part ${i}`, small)));
  const [rows, columns] = a.grid, finite = a.data.map(number).filter(isFinite), most = a.most ?? Math.max(0, ...finite.map(Math.abs));
  const tell = (k) => ($("readout").textContent = `${name}${place(a, k)} = ${exact(a.data[k])}`);
  const label = `${name}: ${a.shape.length ? a.shape.join(" × ") + " numbers" : "one number"}, ${a.dtype}` + (a.at ? "; of each block the largest" : "");
  let box, cells = null, range = "";
  if (!small && a.data.length <= 60 && columns <= 10 || a.data.length === 1) {
    cells = a.data.map((x, k) => { const [ground, ink] = colour(x, most), td = el("td", { title: `${name}${place(a, k)} = ${exact(x)}`, style: `background:${ground};color:${ink}` }, brief(x)); td.onpointerenter = () => tell(k); return td; });
    box = el("table", { class: "heat" }, ...Array.from({ length: rows }, (_, i) => el("tr", {}, ...cells.slice(i * columns, (i + 1) * columns))));
  } else {
    box = el("canvas", { width: columns, height: rows });
    const even = a.data.every((x) => exact(x) === exact(a.data[0])), room = small ? 90 : even ? 60 : 200; /* a constant needs no room */
    const scale = Math.max(even ? 0.5 : 1.25, Math.min(small ? 12 : 18, room / Math.max(columns, rows * 2.2)));
    box.style.width = `${columns * scale / 15}rem`; box.style.height = `${rows * scale / 15}rem`; /* grows with the letters */
    if (!small) range = even ? `all ${brief(a.data[0])}` : finite.length ? `${brief(finite.reduce((x, y) => Math.min(x, y)))} to ${brief(finite.reduce((x, y) => Math.max(x, y)))}` : "nothing finite";
    const pen = box.getContext("2d");
    a.data.forEach((x, k) => { pen.fillStyle = colour(x, most)[0]; pen.fillRect(k % columns, Math.floor(k / columns), 1, 1); });
    box.onpointermove = (e) => { const r = box.getBoundingClientRect(); tell(Math.min(rows - 1, Math.floor((e.clientY - r.top) / r.height * rows)) * columns + Math.min(columns - 1, Math.floor((e.clientX - r.left) / r.width * columns))); };
  }
  box.setAttribute("role", "img"); box.setAttribute("aria-label", label); box.tabIndex = 0; box.dataset.array = number_;
  let at = -1;
  box.onkeydown = (e) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[e.key];
    if (!move || !a.data.length) return;
    e.preventDefault(); e.stopPropagation();
    at = at < 0 ? 0 : Math.min(a.data.length - 1, Math.max(0, at + move));
    cells?.forEach((c, k) => c.classList.toggle("at", k === at));
    tell(at);
  };
  return range ? el("div", {}, box, el("div", { class: "range" }, range)) : box;
}

/* ---- the graph -------------------------------------------------------------------------------------------- */
const groups = new Set(V.flatMap((v) => v.path)), ops = V.filter((v) => v.kind === "op").length;
const closed = new Set(ops > 40 ? groups : []);
const visible = (i) => V[i].path.find((p) => closed.has(p)) ?? i; /* a vertex, or the closed frame around it */
let picture = {};
function drawGraph() {
  const rows = new Map(), members = new Map();
  V.forEach((v, i) => { const key = visible(i); if (!rows.has(key)) rows.set(key, rows.size); members.set(key, [...(members.get(key) ?? []), i]); });
  const W = 470, H = 46, x = (key) => (typeof key === "string" ? 250 : V[key].kind !== "op" ? 8 : V[key].side ? 130 : 250), y = (key) => 6 + rows.get(key) * H;
  const svg = el("svg", { viewBox: `0 0 ${W} ${rows.size * H + 12}`, width: "100%", role: "group", "aria-label": "operations from top to bottom" });
  picture = { svg, nodes: new Map(), edges: new Map() };
  V.forEach((v, i) => v.parents.forEach((p) => {
    const from = visible(p), to = visible(i), key = `${from}>${to}`;
    if (from === to || picture.edges.has(key)) return;
    const far = rows.get(to) - rows.get(from) > 1 && x(from) === x(to), bow = Math.min(70, 12 + 6 * (rows.get(to) - rows.get(from)));
    const d = far ? `M${x(from) + 150} ${y(from) + 17} C${x(from) + 150 + bow} ${y(from) + 17} ${x(to) + 150 + bow} ${y(to) + 17} ${x(to) + 150} ${y(to) + 17}`
      : x(from) === x(to) ? `M${x(from) + 60} ${y(from) + 34} L${x(to) + 60} ${y(to)}` : `M${x(from) + 100} ${y(from) + 17} C${x(to) - 10} ${y(from) + 17} ${x(to) - 30} ${y(to) + 17} ${x(to)} ${y(to) + 17}`;
    const path = el("path", { d });
    picture.edges.set(key, path); svg.append(path);
  }));
  for (const [key, inside] of members) {
    const group = typeof key === "string", v = group ? null : V[key], wide = x(key) < 100 ? 112 : 150;
    const g = el("g", { class: `vertex ${group ? "group" : v.kind}`, transform: `translate(${x(key)} ${y(key)})`, tabindex: 0, role: "button",
      "aria-label": group ? `${key}: ${inside.length} values, closed; open it` : `${v.name}${v.op ? ", by " + v.opname : ""}` });
    g.append(el("title", {}, group ? `${key}: open` : [v.name, v.opname, v.module, v.line, v.code].filter(Boolean).join(" | ")), el("rect", { width: wide, height: 34, rx: v?.kind === "op" ? 12 : 4 }));
    g.append(el("text", { x: 8, y: 15 }, (group ? key : pretty(v.name)).slice(0, 17)), el("text", { x: 8, y: 29, class: "small" }, group ? `▸ ${inside.length} values` : `${v.op ? v.op.slice(0, 12) + "  " : ""}${(v.shape ?? []).join("×") || "scalar"}`));
    g.onclick = () => (group ? toggle(key) : go(born[key] <= now && complete[key] < Infinity && now >= born[key] && now !== complete[key] ? complete[key] : Math.min(born[key], S.length - 1)));
    g.onkeydown = (e) => { if (e.key === "Enter") g.onclick(); };
    picture.nodes.set(key, g); svg.append(g);
  }
  const frames = [...groups].map((p) => { const b = el("button", { "aria-pressed": closed.has(p), title: "open or close" }, `${closed.has(p) ? "▸" : "▾"} ${p}`); b.onclick = () => toggle(p); return b; });
  $("graph").replaceChildren(...(groups.size ? [el("details", {}, el("summary", {}, `${groups.size} modules: open or close`), ...frames)] : []), svg);
}
function toggle(path) { closed.has(path) ? closed.delete(path) : closed.add(path); drawGraph(); show(now); }
function light(s) {
  const lit = new Set(), edges = new Set();
  const touch = (from, to) => { edges.add(`${visible(from)}>${visible(to)}`); };
  if (s.v !== undefined) lit.add(visible(s.v));
  if (s.kind === "forward") V[s.v].parents.forEach((p) => { lit.add(visible(p)); touch(p, s.v); });
  if (s.kind === "edge") { lit.add(visible(s.p)); touch(s.p, s.v); }
  picture.svg.classList.toggle("backward", s.kind !== "forward" && s.kind !== "start");
  for (const [key, g] of picture.nodes) { g.classList.toggle("lit", lit.has(key)); g.classList.toggle("unborn", typeof key === "number" && born[key] > now); }
  for (const [key, path] of picture.edges) path.classList.toggle("lit", edges.has(key));
  const room = $("graph"), b = room.getBoundingClientRect(), boxes = [...lit].map((key) => picture.nodes.get(key)?.getBoundingClientRect()).filter(Boolean);
  const top = Math.min(...boxes.map((r) => r.top)), bottom = Math.max(...boxes.map((r) => r.bottom));
  if (boxes.length && (top < b.top + 20 || bottom > b.bottom - 20)) room.scrollTop += (top + bottom) / 2 - b.top - b.height / 2;
}

/* ---- what happens ----------------------------------------------------------------------------------------- */
const term = (what, array, name, math, wrong) => el("div", { class: `term${wrong ? " wrong" : ""}` }, el("div", { class: "what" }, pretty(what)), el("div", { math: math ?? "" }), heat(array, name));
const sign = (s) => el("span", { class: "sign", "aria-hidden": "true" }, s);
const HERE = { BP1: "δ/m: C is a mean over m examples", BP2: "δ/m", BP3: "the sum of δ/m over the examples", BP4: "the sum of a δ/m over the examples" };
const LOCAL = { each: "local derivative, elementwise (⊙)", scalar: "local derivative", left: "factor from the left (@)", right: "factor from the right (@)", matrix: "local derivative, a Jacobian", moved: "the same numbers, moved", rule: "by the op's own rule" };
function work(s) {
  if (s.kind === "forward") return [el("div", { class: "lead", math: V[s.v].forward }), ...V[s.v].parents.filter((p, i, all) => all.indexOf(p) === i).map((p) => term(V[p].name, V[p].value, V[p].name)), sign("→"), term("result", V[s.v].value, V[s.v].name, V[s.v].math)];
  if (s.kind === "seed") return [term("where it starts", gradient(s.v), V[s.v].gradient, V[s.v].gmath)];
  if (s.kind === "end") return V.flatMap((v, i) => (v.kind === "parameter" && v.grad !== undefined ? [term("gradient", gradient(i), v.gradient, v.gmath, wrongly() && v.wrong !== v.grad)] : [])).slice(0, 12);
  if (s.kind !== "edge") return V.flatMap((v) => (v.kind === "op" ? [] : [term(v.kind, v.value, v.name, v.math)])).slice(0, 12);
  const v = V[s.v], p = V[s.p], bad = wrongly() && s.differs, [before, share, after] = wrongly() ? s.wrong : s.right, [kind, factor] = s.local;
  const out = [el("div", { class: "lead", math: `${s.share ? `<math><mtext>share of </mtext></math>${p.gmath}<math><mo>:</mo></math> ${s.share}` : p.gmath}` })];
  out.push(term("gradient that arrives (cotangent)", gradient(s.v), v.gradient, v.gmath, bad && v.wrong !== v.grad));
  const local_ = factor === null ? el("div", { class: "term" }, el("div", { class: "what" }, LOCAL[kind])) : term(LOCAL[kind], factor, `∂${v.name}/∂${p.name}`, s.factor);
  kind === "left" ? out.splice(1, 0, local_, sign("@")) : out.push(sign({ right: "@", each: "⊙", moved: "→" }[kind] ?? "·"), local_);
  out.push(sign("="), term(s.summed ? "product, summed over the examples it served" : "product: the share", share, `share of ${p.gradient}`, "", bad));
  out.push(el("div", { class: "lead" }));
  if (before !== null) out.push(term("there before", before, `${p.gradient} before`), sign(wrongly() ? "replaced by (=)" : "+="), term("the share", share, `share of ${p.gradient}`), sign("→"));
  else out.push(term("nothing there yet", null, ""), sign("→"));
  out.push(term(s.done ? "complete" : "so far", after, p.gradient, p.gmath, bad));
  return out;
}

/* ---- the running table ------------------------------------------------------------------------------------ */
function table() {
  const cell = (v, what) => {
    if (v === undefined || v === null) return el("td", {}, "");
    const there = what === "value" ? born[v] <= now : complete[v] <= now, fresh = (what === "value" ? born[v] : complete[v]) === now;
    const td = el("td", fresh ? { class: "fresh" } : {});
    if (!there) return td;
    if (what !== "value" && equation[v]) td.append(el("span", { class: "bpname" }, equation[v]));
    td.append(el("span", { math: what === "value" ? V[v].math : V[v].gmath }), heat(what === "value" ? V[v].value : gradient(v), what === "value" ? V[v].name : V[v].gradient, true));
    if (what !== "value" && wrongly() && V[v].wrong !== V[v].grad) td.classList.add("wrong");
    return td;
  };
  const rows = R.layers.map((l) => el("tr", {}, el("th", { scope: "row" }, `l = ${l.layer}`), cell(l.z, "value"), cell(l.a, "value"), cell(l.z, "grad"), ...[l.w, l.b].map((vs) => (vs.length === 1 ? cell(vs[0], "grad") : el("td", {}, ...vs.map((v) => { const t = el("div"); t.append(...cell(v, "grad").childNodes); return t; }))))));
  const others = R.others.map((v) => el("tr", {}, el("th", { scope: "row" }, V[v].name), cell(v, "value"), el("td", {}), cell(v, "grad"), el("td", {}), el("td", {})));
  const head = ["", "z", "a", "δ, ∂C/∂z", "∂C/∂w", "∂C/∂b"].map((h) => el("th", { scope: "col" }, h));
  const t = el("table", { id: "layers" }, el("caption", {}, "What has come out so far" + (R.m > 1 ? `; C is a mean over m = ${R.m} examples, so that ∂C/∂z is δ/m` : "")), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows, ...others));
  $("table").replaceChildren(t);
}

/* ---- one step, and the way between them ------------------------------------------------------------------- */
function show(k) {
  now = k;
  const s = S[k], key = (s.bp || "").replace(/\W/g, "");
  $("scrubber").value = k; $("count").textContent = `${k} of ${S.length - 1}`;
  $("scrubber").setAttribute("aria-valuetext", `step ${k} of ${S.length - 1}`);
  $("text").textContent = pretty(s.text) + (wrongly() && s.kind === "end" ? (R.differs ? " With = in place of +=, those framed are wrong." : " Nothing is used twice here: = would have given the same.") : "");
  $("banner").replaceChildren(...(s.bp ? [el("span", { class: "bp" }, `${s.bp}: `, ...indices(R.equations[key] ?? ""), ...(R.m > 1 && HERE[key] ? [el("small", {}, ` (here ${HERE[key]})`)] : []))] : s.equation ? [el("span", {}, `a part of ${s.equation}`)] : []));
  $("work").replaceChildren(...work(s));
  light(s); table();
  for (const o of $("jump").options) if (Number(o.value) <= k) $("jump").value = o.value;
}
function go(k) { show(Math.max(0, Math.min(S.length - 1, k))); }
function pause() { clearInterval(timer); timer = null; $("play").textContent = "▶ play"; $("play").setAttribute("aria-label", "Play"); }
function play() {
  if (timer) return pause();
  if (now === S.length - 1) show(0);
  $("play").textContent = "⏸ pause"; $("play").setAttribute("aria-label", "Pause");
  timer = setInterval(() => { now < S.length - 1 ? show(now + 1) : pause(); }, Number($("speed").value));
}
function faster(d) { const s = $("speed"); s.selectedIndex = Math.max(0, Math.min(s.options.length - 1, s.selectedIndex + d)); if (timer) { pause(); play(); } }
function theme() { document.documentElement.dataset.theme = dark() ? "light" : "dark"; show(now); }

const marks = [[0, "start"], [S.findIndex((s) => s.kind === "forward"), "forward pass"], [S.findIndex((s) => s.kind === "seed"), "backward pass"], ...S.flatMap((s, k) => (s.bp ? [[k, pretty(`${s.bp}: ${V[s.p].gradient}`)]] : [])), [S.length - 1, "end"]];
$("jump").append(...marks.filter(([k]) => k >= 0).map(([k, name]) => el("option", { value: k }, name)));
$("scrubber").max = S.length - 1;
const stepping = (f) => () => { pause(); f(); };
$("first").onclick = stepping(() => go(0)); $("back").onclick = stepping(() => go(now - 1)); $("next").onclick = stepping(() => go(now + 1)); $("last").onclick = stepping(() => go(S.length - 1));
$("play").onclick = play; $("theme").onclick = theme; $("whatif").onchange = () => show(now);
$("scrubber").oninput = () => { pause(); go(Number($("scrubber").value)); };
$("jump").onchange = () => { pause(); go(Number($("jump").value)); };
$("speed").onchange = () => faster(0);
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || ["SELECT", "INPUT"].includes(e.target.tagName) && e.key !== "Escape") return;
  const does = { ArrowRight: $("next").onclick, ArrowLeft: $("back").onclick, Home: $("first").onclick, End: $("last").onclick, "+": () => faster(1), "-": () => faster(-1), t: theme, w: () => { $("whatif").checked = !wrongly(); show(now); } };
  if (e.key === " " && e.target.tagName !== "BUTTON" && e.target.tagName !== "SUMMARY") does[" "] = play;
  if (does[e.key]) { e.preventDefault(); does[e.key](); }
});
window.addEventListener("beforeprint", () => $("printout").replaceChildren(...S.slice(0, 500).map((s) => el("li", {}, pretty(s.text)))));
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
drawGraph(); go(Number(location.hash.slice(1)) || 0); /* page.html#20 opens at step 20 */
