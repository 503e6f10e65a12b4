/* Is anything wrong? Each card says how one thing is, and what can be done about it. */

import { ask, get, path } from "./api.js";
import { act, count, fill, make, span } from "./dom.js";

const SILENT_S = 60;
const SHOWN_MOST = 10;
const GC_GRACE_S = 10 * 86400;

function card(title, value, isWell, detail, actions = []) {
	return make("section", { class: isWell ? "card" : "card look" },
		make("div", { class: "head" }, make("h3", {}, title),
			make("span", { class: isWell ? "state well" : "state look" }, isWell ? "✓ well" : "⚠ look at this")),
		make("div", { class: "value" }, value), make("p", {}, detail),
		actions.length ? make("div", { class: "acts" }, actions) : null);
}

function task(kind, label, again) {
	return act(`start-${kind}`, label, async () => {
		await ask("POST", "/v1/tasks", { kind });
		return `The task “${kind}” has been submitted.`;
	}, again, true);
}

function levelCard(level, again) {
	const isWell = level.in_force === level.primary && level.pinned === "no";
	const probe = level.next_probe_ms === null ? "" : ` The primary level is tried again in ${span(level.next_probe_ms / 1000)}.`;
	const pinned = level.pinned === "no" ? "" : ` Pinned to its ${level.pinned} level.`;
	const name = level.kind;
	const pin = (to) => act(`pin-${name}-${to}`, `Pin to ${to}`, async () => {
		await ask("PUT", path`/v1/consistency/${name}/pin`, { level: to });
		return `${name} is pinned to its ${to} level.`;
	}, again, true);
	const release = act(`release-${name}`, "Release the pin", async () => {
		await ask("DELETE", path`/v1/consistency/${name}/pin`);
		return `${name} is free again.`;
	}, again);
	const hasFallback = level.fallback !== "none";
	const actions = level.pinned !== "no" ? [release] : hasFallback ? [pin("primary"), pin("fallback")] : [];
	return card(`Level of ${name}s`, level.in_force, isWell,
		`For ${span(level.in_force_ms / 1000)}; wanted: ${level.primary}.${probe}${pinned}`, actions);
}

function repairCard(overview) {
	const age = overview.repaired_us ? (overview.now_us - overview.repaired_us) / 1e6 : null;
	return card("Last repair", age === null ? "never" : `${span(age)} ago`, age !== null && age <= GC_GRACE_S,
		`A deletion that a replica missed comes back if none ends within ${span(GC_GRACE_S)} (gc_grace_seconds).`);
}

function uncertainCard(overview, entries, again) {
	const age = overview.uncertain_since_us ? (overview.now_us - overview.uncertain_since_us) / 1e6 : 0;
	const resolve = entries.map((entry) =>
		act(`resolve-${entry.operation}`, `Resolve ${entry.operation.slice(0, 8)}`, async () => {
			const answer = await ask("POST", path`/v1/uncertain/${entry.operation}/resolve`);
			return `It was ${answer.verdict.replace("_", " ")}.`;
		}, again));
	return card("Uncertain writes", overview.uncertain, !overview.uncertain,
		overview.uncertain ? `The oldest for ${span(age)}.` : "The outcome of every write is known.", resolve);
}

/* The server does what it can in some seconds, and is asked to go on. */
async function withAll(request, count) {
	let sum = 0;
	for (let after = {}; ;) {
		const answer = await ask("POST", request, after);
		sum += answer[count];
		if (!answer.next)
			return sum;
		after = { after: answer.next };
	}
}

function lettersCard(overview, letters, again) {
	const redeliver = act("redeliver-all", "Redeliver all", async () =>
		`${await withAll("/v1/redeliver-dead-letters", "redelivered")} redelivered.`, again);
	const forget = act("delete-all", "Delete all", async () =>
		`${await withAll("/v1/delete-dead-letters", "deleted")} deleted.`, again, true);
	const section = card("Dead letters", overview.dead_letters, !overview.dead_letters,
		overview.dead_letters ? "Events that were given up on." : "No event was given up on.", letters.length ? [redeliver, forget] : []);
	const rows = letters.map((letter) => make("li", {}, `${letter.consumer}, ${letter.address}: ${letter.error} (${count(letter.attempts, "attempt")})`,
		make("div", { class: "acts" }, act(`redeliver-${letter.id}`, "Redeliver", async () => {
			const answer = await ask("POST", path`/v1/dead-letters/${letter.id}/redeliver`);
			return answer.redelivered ? "It has been redelivered." : "It failed once more.";
		}, again, true),
		act(`delete-${letter.id}`, "Delete", async () => {
			await ask("DELETE", path`/v1/dead-letters/${letter.id}`);
			return "It has been deleted.";
		}, again, true))));
	if (rows.length)
		section.append(make("ul", { class: "plain" }, rows));
	return section;
}

function nodesCard(overview) {
	const silent = overview.nodes.filter((node) => node.silent_s > SILENT_S);
	const names = overview.nodes.map((node) =>
		make("li", {}, `${node.name}${node.data_center ? ` (${node.data_center})` : ""} ${node.version}`,
			node.silent_s > SILENT_S ? `, silent for ${span(node.silent_s)}` : ""));
	const section = card("Nodes", overview.nodes.length, !silent.length,
		silent.length ? `${silent.length} not heard of lately.` : "All have been heard of within the last minute.");
	section.append(make("ul", { class: "plain" }, names));
	return section;
}

function verdict(overview, wrong) {
	const text = wrong ? `${wrong} ${wrong === 1 ? "thing wants" : "things want"} a look` : "Nothing is wrong";
	const findings = overview.findings.map((finding) => make("li", {}, finding));
	return make("div", { class: wrong ? "verdict look" : "verdict", id: "verdict" },
		make("div", {}, make("strong", {}, text),
			findings.length ? make("ul", { class: "findings" }, findings) : null));
}

export async function show(main, again) {
	const overview = await get("/v1/overview");
	const levels = overview.has_levels ? (await get("/v1/consistency")).levels : [];
	const uncertain = overview.uncertain ? (await get(`/v1/uncertain?limit=${SHOWN_MOST}`)).uncertain : [];
	const letters = overview.dead_letters ? (await get(`/v1/dead-letters?limit=${SHOWN_MOST}`)).dead_letters : [];
	const cards = [
		card("Service", overview.ready ? "ready" : "not ready", overview.ready,
			`${count(overview.sessions, "session")} on this node. Rows are in ${overview.engine}.`),
		card("Engine", overview.findings.length ? count(overview.findings.length, "finding") : "in order", !overview.findings.length,
			overview.findings.length ? "They stand above." : "Stores, repairs and indexes give nothing to mend.",
			[task("audit", "Audit content", again)]),
		...levels.map((level) => levelCard(level, again)),
		overview.has_levels ? repairCard(overview) : null,
		uncertainCard(overview, uncertain, again),
		card("Copies behind", overview.accounts_owed, overview.accounts_owed < 1000,
			"Accounts whose copies are not written yet. They are read rightly meanwhile.", [task("solve", "Solve all", again)]),
		overview.has_index
			? card("Index behind", overview.index_waiting, overview.index_waiting < 1000,
				"Accounts whose search index follows. Searches read the mail meanwhile.")
			: card("Index", "none", true, "Searches read the mail itself."),
		lettersCard(overview, letters, again),
		nodesCard(overview),
		card("Tasks", `${overview.tasks_running} running`, !overview.tasks_failed,
			`${overview.tasks_waiting} wait, ${overview.tasks_failed} have failed.`, [task("recount", "Check counts", again)]),
	].filter((one) => one !== null);
	const wrong = Math.max(cards.filter((one) => one.classList.contains("look")).length, overview.findings.length);
	document.getElementById("node").textContent = `${overview.name} ${overview.version}`;
	fill(main, make("h2", {}, "Is anything wrong?"), verdict(overview, wrong), make("div", { class: "cards" }, cards));
}
