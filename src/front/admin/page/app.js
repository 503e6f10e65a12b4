/* Signs in, shows the section that the address names, and asks again now and then. */

import { forgetToken, get, hasToken, setToken } from "./api.js";
import { fill, make, say } from "./dom.js";
import * as accounts from "./accounts.js";
import * as overview from "./overview.js";
import * as plots from "./plots.js";
import * as tasks from "./tasks.js";

const SECTIONS = { overview, accounts, tasks, plots };
const AGAIN_MS = { overview: 10000, accounts: 0, tasks: 2000, plots: 10000 };

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let timer = 0;
let turn = 0;

function section() {
	const name = location.hash.slice(1);
	return name in SECTIONS ? name : "overview";
}

function signIn(why = "") {
	clearTimeout(timer);
	nav.hidden = true;
	say(why, Boolean(why));
	const token = make("input", { id: "token", type: "password", autocomplete: "off", required: true });
	fill(main, make("form", { class: "sign-in", onsubmit: async (event) => {
		event.preventDefault();
		setToken(token.value.trim());
		try {
			await get("/v1/domains?limit=1");
			show();
		} catch (problem) {
			forgetToken();
			signIn(problem.message);
		}
	} }, make("h2", {}, "Sign in"), make("label", {}, "Token (holdfastctl token create NAME ROLE)", token),
	make("button", { id: "sign-in" }, "Sign in")));
	token.focus();
}

/* Nobody is torn away from what he writes or chooses. */
function isBusy() {
	const active = document.activeElement;
	return document.hidden || (main.contains(active) && ["INPUT", "SELECT"].includes(active.tagName));
}

async function show(isAsked = true) {
	const mine = ++turn;
	/* What comes when something else is shown already is dropped. */
	const place = { replaceChildren: (...children) => mine === turn && main.replaceChildren(...children) };
	const name = section();
	clearTimeout(timer);
	nav.hidden = false;
	for (const link of nav.querySelectorAll("a"))
		if (link.hash === `#${name}`)
			link.setAttribute("aria-current", "page");
		else
			link.removeAttribute("aria-current");
	try {
		if (isAsked || !isBusy())
			await SECTIONS[name].show(place, () => show());
	} catch (problem) {
		if (mine !== turn)
			return;
		if (problem.status === 401) {
			forgetToken();
			signIn("The token is not accepted any more.");
			return;
		}
		say(problem.message, true);
	}
	if (mine === turn && AGAIN_MS[name])
		timer = setTimeout(() => show(false), AGAIN_MS[name]);
}

document.getElementById("sign-out").addEventListener("click", () => {
	forgetToken();
	turn++;
	signIn();
});
addEventListener("hashchange", () => {
	if (!hasToken() || !(location.hash.slice(1) in SECTIONS))
		return;
	say("");
	main.replaceChildren();
	show();
});
if (hasToken())
	show();
else
	signIn();
