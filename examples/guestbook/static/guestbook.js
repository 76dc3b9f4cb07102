// How many characters are left; the page works without it.
const message = document.querySelector("textarea[name=message]");
const left = document.getElementById("left");
function show() { left.textContent = message.value ? `${message.maxLength - message.value.length} left` : ""; }
message.addEventListener("input", show);
show();
