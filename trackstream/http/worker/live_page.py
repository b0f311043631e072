"""The page `/live`: campaigns by minute, and funnels; one self-contained HTML document."""

from __future__ import annotations

__all__ = ["PAGE"]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Live - TrackStream</title>
<style>
:root { color-scheme: light dark; --line: #8886; --bar: #2563eb; --install: #15803d; }
@media (prefers-color-scheme: dark) { :root { --bar: #7aa7ff; --install: #6ee7a0; } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding-bottom: .5rem; }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .6rem; text-align: right; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2), .text { text-align: left; }
td { font-variant-numeric: tabular-nums; }
svg { width: 16rem; height: 2.5rem; display: block; }
.controls { display: flex; gap: 1rem; align-items: center; margin: 1rem 0; }
#status { min-height: 1.5em; }
.scroll { overflow-x: auto; }
</style>
</head>
<body>
<h1>Live</h1>
<h2>Campaigns</h2>
<div class="controls">
<label>Show the last <select id="minutes">
<option value="15">15 minutes</option><option value="60" selected>hour</option>
<option value="360">6 hours</option><option value="1440">24 hours</option>
</select></label>
<button id="pause" type="button" aria-pressed="false">Pause</button>
</div>
<p id="status" role="status">Loading</p>
<div class="scroll"><table>
<caption>Clicks, installs and conversions per campaign; the bars show clicks (upper) and installs
(lower) per minute, newest at the right</caption>
<thead><tr><th scope="col">App</th><th scope="col">Campaign</th><th scope="col">Clicks</th>
<th scope="col">Impressions</th><th scope="col">Installs</th><th scope="col">Conversions</th>
<th scope="col">Revenue</th><th scope="col">By minute</th></tr></thead>
<tbody id="rows"></tbody></table></div>
<h2>Funnels</h2>
<p id="counted" role="status">Loading</p>
<div class="scroll"><table>
<caption>Who entered today (UTC), and came to each step by now</caption>
<thead><tr><th scope="col">App</th><th scope="col">Funnel</th><th scope="col" class="text">Step</th>
<th scope="col">Count</th><th scope="col">Of the step before</th><th scope="col">Of the first</th>
</tr></thead>
<tbody id="steps"></tbody></table></div>
<noscript>This page needs JavaScript; the numbers are at <a href="/campaigns/live">/campaigns/live
</a> and <a href="/funnels/live">/funnels/live</a>.</noscript>
<script>
"use strict";
const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let paused = false;
function cell(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
function money(byCurrency) {
  const parts = Object.entries(byCurrency).map(([currency, micros]) => {
    const amount = (micros / 1e6).toLocaleString(undefined,
      { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    return currency ? `${amount} ${currency}` : amount;
  });
  return parts.join(", ") || "0";
}
function chart(campaign, minutes, now) {
  const svg = document.createElementNS(SVG, "svg");
  const bins = Math.min(minutes, 60), width = minutes / bins;
  const last = Math.floor(now / 60000);
  const sums = { clicks: Array(bins).fill(0), installs: Array(bins).fill(0) };
  for (const one of campaign.by_minute) {
    const bin = bins - 1 - Math.floor((last - one.minute_ms / 60000) / width);
    if (bin >= 0 && bin < bins) {
      sums.clicks[bin] += one.clicks;
      sums.installs[bin] += one.installs;
    }
  }
  svg.setAttribute("viewBox", `0 0 ${bins} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const { clicks, installs } = campaign.total;
  svg.setAttribute("aria-label", `${clicks} clicks and ${installs} installs in ${minutes} minutes`);
  for (const [name, top, color] of [["clicks", 0, "--bar"], ["installs", 10, "--install"]]) {
    const most = Math.max(1, ...sums[name]);
    sums[name].forEach((count, i) => {
      if (!count) return;
      const bar = document.createElementNS(SVG, "rect");
      const height = 9.5 * count / most;
      bar.setAttribute("x", i + 0.1);
      bar.setAttribute("width", 0.8);
      bar.setAttribute("y", top + 9.5 - height);
      bar.setAttribute("height", height);
      bar.setAttribute("style", `fill: var(${color})`);
      svg.append(bar);
    });
  }
  return svg;
}
async function refresh() {
  if (paused) return;
  const minutes = Number($("minutes").value);
  try {
    const answer = await fetch(`/campaigns/live?minutes=${minutes}`);
    if (!answer.ok) throw new Error(`the worker answered ${answer.status}`);
    const data = await answer.json();
    $("rows").replaceChildren(...data.campaigns.map(campaign => {
      const row = document.createElement("tr");
      const { clicks, impressions, installs, conversions, revenue_micros } = campaign.total;
      const name = cell("th", campaign.campaign_id || "(organic)");
      name.scope = "row";
      const bars = document.createElement("td");
      bars.append(chart(campaign, data.minutes, data.now_ms));
      row.append(cell("td", campaign.app_id), name,
        ...[clicks, impressions, installs, conversions].map(n => cell("td", n.toLocaleString())),
        cell("td", money(revenue_micros)), bars);
      return row;
    }));
    const missing = data.silent.length ? `; not answering: ${data.silent.join(", ")}` : "";
    const found = data.campaigns.length ? "" : "No activity in this time. ";
    const at = new Date(data.now_ms).toLocaleTimeString();
    $("status").textContent = `${found}As of ${at}${missing}`;
  } catch (error) {
    $("status").textContent = `No new numbers: ${error.message}`;
  }
}
function percent(share) {
  if (share === null) return "";
  return share.toLocaleString(undefined, { style: "percent", maximumFractionDigits: 1 });
}
async function refreshFunnels() {
  if (paused) return;
  try {
    const answer = await fetch("/funnels/live");
    if (!answer.ok) throw new Error(`the worker answered ${answer.status}`);
    const data = await answer.json();
    $("steps").replaceChildren(...data.funnels.flatMap(funnel => funnel.steps.map(step => {
      const row = document.createElement("tr");
      const first = step.step === 1;
      const name = cell(first ? "th" : "td", first ? funnel.funnel : "");
      if (first) name.scope = "row";
      const what = cell("td", `${step.step}. ${step.event.join(" or ")}`);
      what.className = "text";
      row.append(cell("td", first ? funnel.app_id : ""), name, what,
        cell("td", step.count.toLocaleString()),
        cell("td", percent(step.of_previous)), cell("td", percent(step.of_first)));
      return row;
    })));
    const missing = data.silent.length ? `; not answering: ${data.silent.join(", ")}` : "";
    const found = data.funnels.length ? "" : "No funnel is defined. ";
    const at = new Date(data.now_ms).toLocaleTimeString();
    $("counted").textContent = `${found}As of ${at}${missing}`;
  } catch (error) {
    $("counted").textContent = `No new numbers: ${error.message}`;
  }
}
$("minutes").addEventListener("change", refresh);
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  refresh();
  refreshFunnels();
});
refresh();
refreshFunnels();
setInterval(refresh, 5000);
setInterval(refreshFunnels, 5000);
</script>
</body>
</html>
"""
