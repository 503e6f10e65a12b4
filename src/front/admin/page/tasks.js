/* Tasks, what they have counted so far, and starting another. */

import { ask, get, path } from "./api.js";
import { act, fill, make, say, table, time } from "./dom.js";

const STATES = { queued: "", running: "state well", done: "state well", failed: "state wrong", cancelled: "state look" };

function progress(task) {
	const counts = Object.entries(task.counts).filter(([, value]) => value);
	const text = counts.map(([name, value]) => `${value} ${name.replaceAll("_", " ")}`).join(", ");
	return make("div", {}, task.state === "running" ? make("progress", { "aria-label": "running" }) : null, text || "–",
		task.error ? make("div", { class: "state wrong" }, task.error) : null,
		task.findings.length ? make("ul", { class: "findings" }, task.findings.map((finding) => make("li", {}, finding))) : null);
}

export async function show(main, again) {
	const [kinds, tasks] = await Promise.all([get("/v1/task-kinds"), get("/v1/tasks")]);
	const before = document.getElementById("kind")?.value;
	const options = kinds.kinds.map((kind) =>
		make("option", { value: kind.kind, selected: kind.kind === before }, `${kind.kind}: ${kind.help}`));
	const kind = make("select", { id: "kind" }, options);
	const subject = make("input", { id: "subject", autocomplete: "off", value: document.getElementById("subject")?.value ?? "" });
	const form = make("form", { class: "line", onsubmit: async (event) => {
		event.preventDefault();
		try {
			const body = { kind: kind.value };
			if (subject.value)
				body.subject = subject.value;
			await ask("POST", "/v1/tasks", body);
			say("The task has been submitted.");
			await again();
		} catch (problem) {
			say(problem.message, true);
		}
	} }, make("label", {}, "What to do", kind), make("label", {}, "Of one account (an address); empty: of all", subject),
		make("button", { id: "submit" }, "Start"));
	const isOpen = (task) => task.state === "queued" || task.state === "running";
	const list = table("Tasks, the latest first", [
		["Kind", (task) => task.kind],
		["Of", (task) => task.subject || "all"],
		["State", (task) => make("span", { class: STATES[task.state] }, task.cancelling && isOpen(task) ? "cancelling" : task.state)],
		["Counted", progress],
		["Since", (task) => time(task.created_us)],
		["", (task) => (isOpen(task) ? act(`cancel-${task.id}`, "Cancel", async () => {
			await ask("POST", path`/v1/tasks/${task.id}/cancel`);
			return "It stops.";
		}, again, true) : "")],
	], tasks.tasks.reverse());
	fill(main, make("h2", {}, "Tasks"), form, list);
}
