// What stands behind # says what a link is for, and is its secret: #verify=…, #reset=… or #invite=…
"use strict";

const calls = {
  verify: { method: "POST", path: "/api/user/verify", secret: "token", done: "Your address is verified." },
  reset: { method: "PUT", path: "/api/user/reset", secret: "token", done: "The password is set. Log in with it." },
  invite: { method: "POST", path: "/api/user/register", secret: "invite", done: "You are a user now. Log in." },
};
const told = document.getElementById("told");

function show() {
  const [purpose, secret] = location.hash.slice(1).split("=");
  for (const form of document.forms) form.hidden = form.id !== purpose || !secret;
  if (!(purpose in calls) || !secret) return;
  told.textContent = "";
  document.getElementById(purpose).onsubmit = (event) => {
    event.preventDefault();
    send(event.target, calls[purpose], secret);
  };
}

async function send(form, call, secret) {
  const body = { ...Object.fromEntries(new FormData(form)), [call.secret]: secret };
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(call.path, {
      method: call.method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const { success, message } = await answer.json();
    form.hidden = success;
    told.textContent = success ? call.done : message;
  } catch {
    told.textContent = "The server does not answer. Try again.";
  } finally {
    button.disabled = false;
  }
}

addEventListener("hashchange", show);
show();
