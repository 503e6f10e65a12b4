/* Accounts: found by a part of their address, with what they hold and who is connected. */

import { ask, get, path } from "./api.js";
import { act, fill, make, size, table, time } from "./dom.js";

const PAGE = 50;
let contains = "";
let chosen = null;

const used = (held, limit, print = String) => (limit ? `${print(held)} of ${print(limit)}` : print(held));

function sessionsOf(sessions, again) {
	return table("Sessions on this node", [
		["Protocol", (session) => session.protocol],
		["From", (session) => session.peer],
		["TLS", (session) => (session.tls ? "yes" : "no")],
		["Since", (session) => time(session.since_us)],
		["", (session) => act(`end-${session.session}`, "Disconnect", async () => {
			await ask("DELETE", path`/v1/sessions/${session.session}`);
			return "The session ends.";
		}, again, true)],
	], sessions);
}

async function one(address, again) {
	const [user, folders, sessions] = await Promise.all([get(path`/v1/users/${address}`), get(path`/v1/users/${address}/folders`),
		get(`/v1/sessions?address=${encodeURIComponent(address)}`).catch((problem) => {
			/* A token of one domain is not told of sessions. */
			if (problem.status !== 403)
				throw problem;
			return null;
		})]);
	const enable = act("enable", user.enabled ? "Disable" : "Enable", async () => {
		await ask("PUT", path`/v1/users/${address}/enabled`, { enabled: !user.enabled });
		return user.enabled ? "The user cannot sign in any more." : "The user can sign in.";
	}, again, true);
	const solve = act("solve", "Solve", async () => {
		const report = await ask("POST", path`/v1/users/${address}/solve`);
		return `${report.checked} rows checked, ${report.fixed + report.maps_fixed} put right.`;
	}, again, true);
	return make("section", { "aria-label": address },
		make("h2", {}, address),
		make("div", { class: "cards" }, make("div", { class: "card" },
			make("div", { class: "value" }, used(user.used.bytes, user.limit.bytes, size)),
			make("p", {}, `Messages: ${used(user.used.count, user.limit.count)}. `,
				user.enabled ? "May sign in." : "May not sign in.", ` Since ${time(user.created_us)}.`),
			make("div", { class: "acts" }, enable, solve))),
		table("Folders", [
			["Folder", (folder) => folder.path],
			["Messages", (folder) => String(folder.messages), true],
			["Unseen", (folder) => String(folder.unseen), true],
			["Size", (folder) => size(folder.bytes), true],
		], folders.folders),
		sessions ? sessionsOf(sessions.sessions, again) : "");
}

export async function show(main, again) {
	const query = contains ? `&contains=${encodeURIComponent(contains)}` : "";
	const users = await get(`/v1/users?limit=${PAGE}${query}`);
	const input = make("input", { id: "contains", type: "search", value: contains, autocomplete: "off" });
	const form = make("form", { class: "line", role: "search", onsubmit: (event) => {
		event.preventDefault();
		contains = input.value;
		chosen = null;
		again();
	} }, make("label", {}, "Part of the address", input), make("button", { id: "find" }, "Find"));
	const choose = (address) => act(`choose-${address}`, address, async () => {
		chosen = address;
		return "";
	}, again, true);
	const list = table(users.next ? `The first ${PAGE}` : "Users", [
		["User", (user) => choose(user.address)],
		["Sign-in", (user) => (user.enabled ? "enabled" : "disabled")],
		["Limit", (user) => (user.quota.bytes ? size(user.quota.bytes) : "–"), true],
		["Since", (user) => time(user.created_us)],
	], users.users);
	fill(main, make("h2", {}, "Accounts"), form, list, chosen ? await one(chosen, again) : null);
}
