// Which groups have a model: its name is one of theirs, and one of their upstreams serves it.

const fits = (name, patterns) => patterns.some((each) => (each.endsWith("*") ? name.startsWith(each.slice(0, -1)) : each === name));

function has(group, model, byName) {
  if (group.groups.length) return group.groups.some((each) => byName.has(each) && has(byName.get(each), model, byName));
  if (!fits(model.name, group.models)) return false;
  // What a name stands for is looked at by the gateway: here its name is enough.
  return model.members !== null || group.upstreams.includes("*") || model.upstreams.some((each) => group.upstreams.includes(each));
}

export function groupsWith(model, groups) {
  if (!model.members && model.upstreams.length === 0) return [];
  const byName = new Map(groups.map((each) => [each.name, each]));
  return groups.filter((each) => !each.broken && has(each, model, byName)).map((each) => each.name);
}
