/* Rates and latencies of the last hours, as the server has them in memory. */

import { get } from "./api.js";
import { fill, make, span } from "./dom.js";

const WIDTH = 480;
const HEIGHT = 160;
const LEFT = 48;
const BOTTOM = 20;
const SPACE = "http://www.w3.org/2000/svg";

/* One picture shows series of one unit. */
const PICTURES = [
	["Deliveries", ["deliveries"]],
	["Changes of mail", ["changes"]],
	["Commands of clients", ["commands"]],
	["Commits", ["commit_p50", "commit_p99"]],
	["Work for clients", ["step_p99"]],
	["Index", ["index_lag_p99"]],
	["Sessions", ["sessions"]],
	["Behind", ["accounts_owed", "index_waiting"]],
	["Uncertain writes", ["uncertain"]],
	["Wrong passwords", ["wrong_passwords"]],
];
let minutes = 60;

function draw(name, attributes, ...children) {
	const element = document.createElementNS(SPACE, name);
	for (const [key, value] of Object.entries(attributes))
		element.setAttribute(key, value);
	element.append(...children);
	return element;
}

/* 1, 2 or 5 times a power of ten, the next above. */
function roundUp(value) {
	if (!(value > 0))
		return 1;
	const power = 10 ** Math.floor(Math.log10(value));
	return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

function print(value) {
	return value >= 10 || value === 0 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

function line(values, points, most, name) {
	let text = "";
	let isDown = false;
	values.forEach((value, at) => {
		if (value === null) {
			isDown = false;
			return;
		}
		const x = LEFT + ((points - values.length + at) / Math.max(points - 1, 1)) * (WIDTH - LEFT - 4);
		const y = (HEIGHT - BOTTOM) * (1 - value / most) + 4 * (value / most);
		text += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
		isDown = true;
	});
	/* A value that stands alone is a dot. */
	return draw("path", { d: text.replace(/M([\d. -]+)(?=M|$)/g, "M$1h1.5"), class: name });
}

function picture(title, shown, history) {
	const points = Math.max(Math.round((minutes * 60) / history.period_s), 1);
	const known = shown.flatMap((one) => one.values).filter((value) => value !== null);
	const most = roundUp(Math.max(0, ...known));
	const unit = shown[0].unit;
	const floor = HEIGHT - BOTTOM;
	const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "img",
		"aria-label": `${title}: ${shown.map((one) => `${one.help}, last ${one.last === null ? "none" : print(one.last)} ${one.unit}`).join("; ")}` },
	draw("path", { d: `M${LEFT} 4V${floor}H${WIDTH - 4}M${LEFT} ${(floor + 4) / 2}H${WIDTH - 4}M${LEFT} 4H${WIDTH - 4}`, class: "axis", fill: "none" }),
	draw("text", { x: LEFT - 6, y: 13, "text-anchor": "end" }, print(most)),
	draw("text", { x: LEFT - 6, y: (floor + 4) / 2 + 4, "text-anchor": "end" }, print(most / 2)),
	draw("text", { x: LEFT - 6, y: floor, "text-anchor": "end" }, "0"),
	draw("text", { x: LEFT, y: HEIGHT - 5 }, `${span(minutes * 60)} ago`),
	draw("text", { x: WIDTH - 4, y: HEIGHT - 5, "text-anchor": "end" }, "now"),
	...shown.map((one, at) => line(one.values, points, most, at ? "two" : "one")));
	const key = shown.map((one, at) => make("span", { class: at ? "two" : "one" },
		`${one.help}${one.last === null ? "" : `: ${print(one.last)}${one.unit ? ` ${one.unit}` : ""}`}`));
	return make("section", { class: "card" }, make("div", { class: "head" }, make("h3", {}, title), make("span", { class: "state" }, unit)),
		svg, make("div", { class: "key" }, key), known.length ? null : make("p", {}, "Nothing to tell yet."));
}

export async function show(main, again) {
	const history = await get(`/v1/history?minutes=${minutes}`);
	const byName = Object.fromEntries(history.series.map((one) => [one.name, one]));
	const choice = make("select", { id: "minutes", onchange: () => {
		minutes = Number(choice.value);
		again();
	} }, [30, 60, 180, 360].map((one) => make("option", { value: one, selected: one === minutes }, span(one * 60))));
	fill(main, make("h2", {}, "The last hours"), make("form", { class: "line" }, make("label", {}, "How far back", choice)),
		make("div", { class: "plots" }, PICTURES.map(([title, names]) => picture(title, names.map((name) => byName[name]), history))));
}
