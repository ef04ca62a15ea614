// Finding a column, and hiding those that did not change. Without this the page shows all of them.
const tools = document.querySelector(".tools");
if (tools) {
  const find = document.getElementById("find"), changed = document.getElementById("changed");
  const features = [...document.querySelectorAll(".feature")].map((shown) => [shown, shown.querySelector("b").textContent.toLowerCase()]);
  const update = () => {
    const wanted = find.value.trim().toLowerCase();
    for (const [shown, name] of features)
      shown.hidden = !name.includes(wanted) || (changed.checked && !shown.classList.contains("changed"));
  };
  find.addEventListener("input", update);
  changed.addEventListener("input", update);
  tools.hidden = false;
}
