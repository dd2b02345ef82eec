document.addEventListener("click", async (event) => {
  const product = event.target.dataset.product;
  if (!product) return;
  const response = await fetch("/orders", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ product }),
  });
  const order = response.ok ? await response.json() : null;
  document.getElementById("answer").textContent = order ? `Order ${order.id}: ${order.state}` : "That did not work.";
});
