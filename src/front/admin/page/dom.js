/* Elements out of words: nothing that came from outside is ever read as markup. */

export function make(name, attributes = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (key.startsWith("on"))
			element.addEventListener(key.slice(2), value);
		else if (value === true)
			element.setAttribute(key, "");
		else if (value !== false && value !== null && value !== undefined)
			element.setAttribute(key, value);
	}
	element.append(...children.flat().filter((child) => child !== null && child !== undefined));
	return element;
}

/* Puts `children` in place of what was there; whoever stood on a control goes on standing on it. */
export function fill(parent, ...children) {
	const id = document.activeElement?.id;
	parent.replaceChildren(...children.flat().filter((child) => child !== null));
	if (id && !document.activeElement?.id)
		document.getElementById(id)?.focus();
}

export function say(text, isWrong = false) {
	const said = document.getElementById("said");
	said.textContent = text;
	said.className = isWrong ? "wrong" : "";
}

/* A button that works once at a time, and says what came of it. */
export function act(id, label, work, done, isQuiet = false) {
	const button = make("button", { type: "button", id, class: isQuiet ? "quiet" : null }, label);
	button.addEventListener("click", async () => {
		button.disabled = true;
		try {
			say(await work());
			await done?.();
		} catch (problem) {
			say(problem.message, true);
		}
		button.disabled = false;
		if (document.contains(button))
			button.focus();
		else
			document.getElementById(id)?.focus();
	});
	return button;
}

export function table(caption, columns, rows) {
	const head = columns.map(([title, , isNumber]) => make("th", { scope: "col", class: isNumber ? "number" : null }, title));
	const body = rows.map((row) =>
		make("tr", {}, columns.map(([, cell, isNumber]) => make("td", { class: isNumber ? "number" : null }, cell(row)))));
	const empty = make("tr", {}, make("td", { colspan: columns.length }, "None."));
	return make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
		make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, head)),
			make("tbody", {}, rows.length ? body : empty)));
}

export function time(us) {
	return us ? new Date(us / 1000).toLocaleString() : "–";
}

export function span(seconds) {
	const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
	const [size, unit] = units.find(([least]) => seconds >= least) ?? [1, "s"];
	return `${Math.floor(seconds / size)} ${unit}`;
}

export function count(number, thing) {
	return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

export function size(bytes) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let at = 0;
	for (; bytes >= 1024 && at < units.length - 1; at++)
		bytes /= 1024;
	return `${at ? bytes.toFixed(1) : bytes} ${units[at]}`;
}
