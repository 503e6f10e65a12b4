/* Requests to the server that this page came from. The token is kept for this tab alone. */

const KEY = "holdfast-token";

export class Problem extends Error {
	constructor(status, detail) {
		super(detail);
		this.status = status;
	}
}

export function hasToken() {
	return sessionStorage.getItem(KEY) !== null;
}

export function setToken(token) {
	sessionStorage.setItem(KEY, token);
}

export function forgetToken() {
	sessionStorage.removeItem(KEY);
}

export async function ask(method, path, body) {
	const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
	if (body !== undefined)
		headers["Content-Type"] = "application/json";
	let answer;
	try {
		answer = await fetch(path, { method, headers, body: JSON.stringify(body), cache: "no-store" });
	} catch {
		throw new Problem(0, "The server does not answer.");
	}
	const text = await answer.text();
	const json = text && answer.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : null;
	if (!answer.ok)
		throw new Problem(answer.status, json?.detail ?? `The server answered ${answer.status}.`);
	return json;
}

export const get = (path) => ask("GET", path);

export function path(strings, ...names) {
	return strings.reduce((all, part, at) => all + encodeURIComponent(names[at - 1]) + part);
}
