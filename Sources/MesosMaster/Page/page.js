"use strict";
// The master's page. It only reads, from the same JSON endpoints that other tools read, and again every ten seconds.
// Everything from the cluster becomes text of the document, never markup.

const base = location.pathname.replace(/\/+$/, "");
const refreshMilliseconds = 10_000;
// More tasks than a reader takes in; the endpoints have the rest.
const newest = 200;
const tailBytes = 64 * 1024;

/// JSON of a path of the master's window.
async function get(path) {
  const answer = await fetch(`${base}/${path}`);
  if (!answer.ok) throw new Error(`${path.split("?")[0]}: ${answer.status} ${(await answer.text()).slice(0, 300)}`);
  return answer.json();
}

// MARK: The document

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
  element.append(...children.flat(Infinity).filter(child => child !== undefined && child !== null));
  return element;
}

/// A table; columns are [title, value of a row, "number" for figures].
function table(rows, columns, empty) {
  if (!rows.length) return make("p", { class: "faint" }, empty);
  const head = columns.map(([title, , kind]) => make("th", { class: kind }, title));
  const body = rows.map(row => make("tr", {}, columns.map(([, value, kind]) => make("td", { class: kind }, value(row)))));
  return make("div", { class: "wide" }, make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, body)));
}

function facts(pairs) {
  return make("dl", {}, pairs.filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

const link = (text, ...parts) => make("a", { href: "#/" + parts.map(encodeURIComponent).join("/") }, text);
const id = text => make("span", { class: "id" }, text);
const heading = text => make("h2", {}, text);
const when = seconds => (seconds ? new Date(seconds * 1000).toLocaleString() : "");
const number = value => (value ?? 0).toLocaleString(undefined, { maximumFractionDigits: 2 });
const lower = state => state.replace(/^TASK_/, "").toLowerCase().replaceAll("_", " ");

function mebibytes(value) {
  const units = ["MiB", "GiB", "TiB", "PiB"];
  let [amount, unit] = [value ?? 0, 0];
  while (amount >= 1024 && unit < units.length - 1) [amount, unit] = [amount / 1024, unit + 1];
  return `${number(amount)} ${units[unit]}`;
}

function resources(held = {}) {
  const parts = Object.entries(held).filter(([, value]) => value && value !== "[]").map(([name, value]) =>
    name === "mem" || name === "disk" ? `${name} ${mebibytes(value)}` : `${name} ${typeof value === "number" ? number(value) : value}`);
  return parts.join(" · ") || "–";
}

function share(used, total) {
  return make("meter", { min: 0, max: total || 1, value: Math.min(used, total || 1), title: `${number(used)} of ${number(total)}` });
}

function state(name, isGood) {
  return make("span", { class: isGood === undefined ? undefined : isGood ? "good" : "bad" }, name);
}

const isEnded = name => /FINISHED|FAILED|KILLED|LOST|ERROR|DROPPED|GONE/.test(name);
const taskState = name => state(lower(name), /RUNNING|FINISHED/.test(name) ? true : /FAILED|LOST|ERROR/.test(name) ? false : undefined);

function taskTable(tasks, empty) {
  return table(tasks, [
    ["Task", task => [link(task.name || task.id, "task", task.slave_id, task.framework_id, task.executor_id || task.id, task.id)]],
    ["Id", task => id(task.id)],
    ["State", task => taskState(task.state)],
    ["Since", task => when(task.statuses?.at(-1)?.timestamp)],
    ["Role", task => task.role],
    ["Resources", task => resources(task.resources)],
    ["", task => link("sandbox", "files", task.slave_id, sandbox(task.framework_id, task.executor_id || task.id))],
  ], empty);
}

const sandbox = (framework, executor) => `/framework/${framework}/executor/${executor}/latest`;
const counts = item => Object.keys(item).filter(key => key.startsWith("TASK_") && !isEnded(key)).reduce((sum, key) => sum + item[key], 0);

// MARK: Views

const views = {
  async ""() {
    const [summary, metrics] = await Promise.all([get("state-summary"), get("metrics/snapshot")]);
    const metric = name => metrics[`master/${name}`] ?? 0;
    const offered = name => summary.frameworks.reduce((sum, framework) => sum + (framework.offered_resources?.[name] ?? 0), 0);
    const kinds = ["cpus", "mem", "disk", "gpus"].filter(name => metric(`${name}_total`));
    const text = (name, value) => (name === "mem" || name === "disk" ? mebibytes(value) : number(value));
    const states = Object.keys(metrics).filter(key => /^master\/tasks_[a-z_]+$/.test(key) && metrics[key]);
    return [
      heading("Resources"),
      table(kinds, [
        ["", name => name],
        ["Used", name => text(name, metric(`${name}_used`)), "number"],
        ["Offered", name => text(name, offered(name)), "number"],
        ["Total", name => text(name, metric(`${name}_total`)), "number"],
        ["", name => share(metric(`${name}_used`), metric(`${name}_total`))],
      ], "No agent has registered."),
      heading("Cluster"),
      facts([
        ["Agents", `${metric("slaves_active")} active, ${metric("slaves_inactive")} inactive, ${metric("slaves_unreachable")} unreachable`],
        ["Frameworks", `${metric("frameworks_active")} active, ${metric("frameworks_disconnected")} disconnected`],
        ["Offers", number(metric("outstanding_offers"))],
        ["Up since", when(Date.now() / 1000 - metric("uptime_secs"))],
      ]),
      heading("Tasks"),
      table(states, [
        ["State", key => lower(key.slice("master/tasks_".length))],
        ["Tasks", key => number(metrics[key]), "number"],
        
      ], "No task has run."),
    ];
  },

  async frameworks() {
    const { frameworks } = await get("state-summary");
    return [make("h1", {}, "Frameworks"), table(frameworks, [
      ["Name", framework => link(framework.name, "framework", framework.id)],
      ["State", framework => state(framework.active ? "active" : framework.connected ? "inactive" : "disconnected", framework.active)],
      ["Roles", framework => framework.roles?.join(", ")],
      ["Running tasks", framework => number(counts(framework)), "number"],
      ["Used", framework => resources(framework.used_resources)],
      ["Offered", framework => resources(framework.offered_resources)],
      ["Id", framework => id(framework.id)],
    ], "No framework has registered.")];
  },

  async framework(wanted) {
    const [{ frameworks }, { tasks }] = await Promise.all([
      get("state-summary"), get(`tasks?order=desc&limit=${newest}&framework_id=${encodeURIComponent(wanted)}`),
    ]);
    const found = frameworks.find(framework => framework.id === wanted);
    return [
      make("h1", {}, found?.name ?? `Framework ${wanted}`),
      found ? facts([
        ["Id", id(found.id)], ["User", found.user], ["Roles", found.roles?.join(", ")], ["Host", found.hostname],
        ["Registered", when(found.registered_time)], ["Failover timeout", `${number(found.failover_timeout)} s`],
        ["Capabilities", found.capabilities?.join(", ")], ["Its own page", page(found.webui_url)],
        ["Used", resources(found.used_resources)], ["Offered", resources(found.offered_resources)],
      ]) : make("p", { class: "faint" }, "It is not registered (any more)."),
      ...taskParts(tasks, tasks.length < newest ? "" : `the newest ${newest}`),
    ];
  },

  async agents() {
    const [{ slaves }, maintenance] = await Promise.all([get("state-summary"), get("maintenance/status")]);
    const hosts = list => (list ?? []).map(machine => machine.id?.hostname ?? machine.hostname).join(", ");
    return [
      make("h1", {}, "Agents"),
      facts([["Draining machines", hosts(maintenance.draining_machines)], ["Machines that are down", hosts(maintenance.down_machines)]]),
      table(slaves, [
        ["Host", agent => link(agent.hostname, "agent", agent.id)],
        ["State", agent => state(agent.deactivated ? "deactivated" : agent.active ? "active" : "unreachable", agent.active && !agent.deactivated)],
        ["Tasks", agent => number(counts(agent)), "number"],
        ["CPUs", agent => share(agent.used_resources.cpus, agent.resources.cpus)],
        ["Memory", agent => share(agent.used_resources.mem, agent.resources.mem)],
        ["Resources", agent => resources(agent.resources)],
        ["Registered", agent => when(agent.registered_time)],
        ["Id", agent => id(agent.id)],
      ], "No agent has registered."),
    ];
  },

  async agent(wanted) {
    const [{ slaves }, own] = await Promise.all([
      get(`slaves?slave_id=${encodeURIComponent(wanted)}`), get(`agent/${encodeURIComponent(wanted)}/state`),
    ]);
    const found = slaves[0];
    if (!found) return [make("h1", {}, `Agent ${wanted}`), make("p", { class: "faint" }, "It is not registered.")];
    const tasks = own.frameworks.flatMap(framework => framework.executors.flatMap(executor => executor.tasks));
    return [
      make("h1", {}, found.hostname),
      facts([
        ["Id", id(found.id)], ["Address", found.pid], ["Version", found.version], ["Registered", when(found.registered_time)],
        ["Attributes", Object.entries(found.attributes).map(([name, value]) => `${name}: ${value}`).join(", ")],
        ["Total", resources(found.resources)], ["Used", resources(found.used_resources)],
        ["Offered", resources(found.offered_resources)],
        ["Reserved", Object.entries(found.reserved_resources).map(([role, held]) => `${role}: ${resources(held)}`).join("; ")],
      ]),
      heading("Tasks"), taskTable(tasks, "No task runs here."),
    ];
  },

  async tasks() {
    const { tasks } = await get(`tasks?order=desc&limit=${newest}`);
    return [make("h1", {}, "Tasks"), ...taskParts(tasks, tasks.length < newest ? "" : `the newest ${newest}`)];
  },

  async task(agent, framework, executor, wanted) {
    const { tasks } = await get(`tasks?framework_id=${encodeURIComponent(framework)}&task_id=${encodeURIComponent(wanted)}`);
    const found = tasks[0];
    const parts = [make("h1", {}, found?.name || wanted)];
    if (!found) return [...parts, make("p", { class: "faint" }, "It is not known (any more).")];
    const ports = found.discovery?.ports?.ports?.map(port => `${port.name ?? ""} ${port.number}/${port.protocol ?? "tcp"}`);
    return [
      ...parts,
      facts([
        ["Id", id(found.id)], ["State", taskState(found.state)], ["Framework", link(id(framework), "framework", framework)],
        ["Agent", link(id(agent), "agent", agent)], ["Executor", found.executor_id && id(found.executor_id)], ["Role", found.role],
        ["Resources", resources(found.resources)], ["Ports", ports?.join(", ")],
        ["Container", found.statuses?.at(-1)?.container_status?.container_id?.value],
        ["Labels", found.labels?.map(label => `${label.key}=${label.value ?? ""}`).join(", ")],
        ["Sandbox", link("files", "files", agent, sandbox(framework, executor))],
        ["Output", [link("stdout", "file", agent, `${sandbox(framework, executor)}/stdout`), " ", link("stderr", "file", agent, `${sandbox(framework, executor)}/stderr`)]],
      ]),
      heading("What became of it"),
      table(found.statuses ?? [], [
        ["When", status => when(status.timestamp)], ["State", status => taskState(status.state)],
        ["Reason", status => status.reason ?? ""], ["Message", status => status.message ?? ""],
        ["Healthy", status => (status.healthy === undefined ? "" : String(status.healthy))],
      ], "Nothing has been heard of it."),
    ];
  },

  async roles() {
    const { roles } = await get("roles");
    return [make("h1", {}, "Roles"), table(roles, [
      ["Role", role => role.name],
      ["Weight", role => number(role.weight), "number"],
      ["Frameworks", role => number(role.frameworks?.length), "number"],
      ["Guarantee", role => resources(role.quota?.guarantee)],
      ["Limit", role => resources(role.quota?.limit)],
      ["Allocated", role => resources(role.allocated)],
      ["Offered", role => resources(role.offered)],
      ["Reserved", role => resources(role.reserved)],
    ], "No role is in use.")];
  },

  async apps() {
    const [{ apps }, pods, { queue }] = await Promise.all([
      get(`${marathon}/apps?embed=apps.counts&embed=apps.deployments`), get(`${marathon}/pods/::status`), get(`${marathon}/queue`),
    ]);
    const waiting = new Map(queue.map(entry => [(entry.app ?? entry.pod)?.id, entry.delay]));
    apps.sort((one, other) => (one.id < other.id ? -1 : 1));
    return [
      make("h1", {}, "Apps"),
      apps.length > newest ? make("p", { class: "faint" }, `Only the first ${newest} of ${number(apps.length)} are shown.`) : undefined,
      table(apps.slice(0, newest), [
        ["App", app => link(app.id, "app", app.id)],
        ["State", app => appState(app, waiting.get(app.id))],
        ["Running", app => `${number(app.tasksRunning)} of ${number(app.instances)}`, "number"],
        ["Healthy", app => (app.healthChecks?.length ? number(app.tasksHealthy) : "–"), "number"],
        ["CPUs", app => number(app.cpus * app.instances), "number"],
        ["Memory", app => mebibytes(app.mem * app.instances), "number"],
        ["Version", app => when(Date.parse(app.version) / 1000)],
      ], "There are no apps."),
      heading("Pods"),
      table(pods, [
        ["Pod", pod => pod.id],
        ["State", pod => state(pod.status.toLowerCase(), pod.status === "STABLE" ? true : undefined)],
        ["Instances", pod => `${number(pod.instances?.length)} of ${number(pod.spec?.scaling?.instances)}`, "number"],
        ["Since", pod => when(Date.parse(pod.statusSince) / 1000)],
      ], "There are no pods."),
    ];
  },

  async app(wanted) {
    const path = wanted.split("/").map(encodeURIComponent).join("/");
    const { app } = await get(
      `${marathon}/apps/${path}?embed=app.tasks&embed=app.counts&embed=app.deployments&embed=app.lastTaskFailure`);
    const failure = app.lastTaskFailure;
    const framework = app.tasks.length ? (await get(`${marathon}/info`)).frameworkId : "";
    return [
      make("h1", {}, app.id),
      facts([
        ["State", appState(app)], ["Running", `${app.tasksRunning} of ${app.instances}, ${app.tasksHealthy} healthy`],
        ["Command", app.cmd && make("code", {}, app.cmd)], ["Image", app.container?.docker?.image],
        ["An instance", resources({ cpus: app.cpus, mem: app.mem, disk: app.disk, gpus: app.gpus })], ["Role", app.role],
        ["Constraints", app.constraints?.map(constraint => constraint.join(" ")).join(", ")],
        ["Labels", Object.entries(app.labels ?? {}).map(([name, value]) => `${name}=${value}`).join(", ")],
        ["Version", when(Date.parse(app.version) / 1000)],
        ["Last failure", failure && `${when(Date.parse(failure.timestamp) / 1000)}: ${lower(failure.state)}, ${failure.message}`],
      ]),
      heading("Instances"),
      table(app.tasks, [
        ["Task", task => link(id(task.id), "task", task.slaveId, framework, task.id, task.id)],
        ["State", task => taskState(task.state)],
        ["Health", task => health(task)],
        ["Host", task => [task.host, task.ports?.length ? `:${task.ports.join(", ")}` : ""].join("")],
        ["Since", task => when(Date.parse(task.startedAt ?? task.stagedAt) / 1000)],
      ], "No instance runs."),
    ];
  },

  async files(agent, path) {
    const files = await get(`agent/${encodeURIComponent(agent)}/files/browse?path=${encodeURIComponent(path)}`);
    return [make("h1", {}, "Sandbox"), make("p", { class: "id" }, path), table(files, [
      ["Mode", file => id(file.mode)],
      ["Owner", file => file.uid],
      ["Size", file => number(file.size), "number"],
      ["Changed", file => when(file.mtime)],
      ["Name", file => link(file.path.split("/").at(-1), file.mode.startsWith("d") ? "files" : "file", agent, file.path)],
      ["", file => (file.mode.startsWith("d") ? "" : download(agent, file.path))],
    ], "There are no files.")];
  },

  async file(agent, path) {
    const read = (offset, length) =>
      get(`agent/${encodeURIComponent(agent)}/files/read?path=${encodeURIComponent(path)}&offset=${offset}&length=${length}`);
    const size = (await read(-1, 0)).offset;
    const from = Math.max(0, size - tailBytes);
    const { data } = await read(from, tailBytes);
    return [
      make("h1", {}, path.split("/").at(-1)),
      make("p", { class: "id" }, path, " ", download(agent, path)),
      make("p", { class: "faint" }, from ? `The last ${number(tailBytes)} of ${number(size)} bytes` : `${number(size)} bytes`),
      make("pre", {}, data),
    ];
  },
};

/// Marathon, as it is behind the master's address.
const marathon = "service/marathon/v2";

function appState(app, delay) {
  if (app.deployments?.length) return delay && !delay.overdue ? state("delayed", false) : "deploying";
  if (!app.instances) return state("suspended");
  if (delay) return state(delay.overdue ? "waiting" : "delayed", delay.overdue ? undefined : false);
  if (app.tasksRunning < app.instances) return state("waiting");
  return state(app.tasksUnhealthy ? "unhealthy" : "running", !app.tasksUnhealthy);
}

function health(task) {
  const results = task.healthCheckResults ?? [];
  if (!results.length) return "–";
  const isAlive = results.every(result => result.alive);
  return state(isAlive ? "healthy" : results.find(result => result.lastFailureCause)?.lastFailureCause ?? "unhealthy", isAlive);
}

function taskParts(tasks, which) {
  const note = which ? [make("p", { class: "faint" }, `Only ${which} are shown; /tasks has all.`)] : [];
  return [
    ...note,
    heading("Running"), taskTable(tasks.filter(task => !isEnded(task.state)), "No task runs."),
    heading("Ended"), taskTable(tasks.filter(task => isEnded(task.state)), "No task has ended."),
  ];
}

/// A link to a framework's page; what is no web address is no link.
function page(address) {
  return /^https?:\/\//.test(address ?? "") ? make("a", { href: address, rel: "noreferrer" }, address) : address || undefined;
}

function download(agent, path) {
  return make("a", { href: `${base}/agent/${encodeURIComponent(agent)}/files/download?path=${encodeURIComponent(path)}`, download: "" }, "download");
}

// MARK: Showing

let shown = 0;
let timer;

async function show() {
  clearTimeout(timer);
  const turn = ++shown;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const problem = document.getElementById("problem");
  let content, message = "";
  try {
    if (!Object.hasOwn(views, name)) throw new Error(`there is no page "${name}"`);
    content = await views[name](...rest);
  } catch (error) {
    message = String(error.message ?? error);
  }
  // Somebody went on meanwhile.
  if (turn !== shown) return;
  problem.textContent = message;
  problem.hidden = !message;
  const view = document.getElementById("view");
  if (content) view.replaceChildren(...content.filter(part => part));
  else if (location.hash !== view.dataset.hash) view.replaceChildren();
  view.dataset.hash = location.hash;
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.hash === `#/${name}` || anchor.hash === `#/${name}s`) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  if (!document.hidden) timer = setTimeout(show, refreshMilliseconds);
}

addEventListener("hashchange", show);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : show()));
get("flags").then(({ flags }) => {
  document.getElementById("cluster").textContent = flags.cluster ?? "";
  document.title = `Apus · ${flags.cluster ?? ""}`;
}, () => {});
show();
