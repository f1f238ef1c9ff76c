// Which groups have a model: its name is one of theirs, and one of their upstreams serves it.

const within = (names, name) => names.includes("*") || names.includes(name);

function has(group, model, byName) {
  if (group.groups.length) return group.groups.some((each) => byName.has(each) && has(byName.get(each), model, byName));
  if (!within(group.models, model.name)) return false;
  // What a name stands for is looked at by the gateway: here its name is enough.
  return model.members !== null || model.upstreams.some((each) => within(group.upstreams, each));
}

export function groupsWith(model, groups) {
  if (!model.members && model.upstreams.length === 0) return [];
  const byName = new Map(groups.map((each) => [each.name, each]));
  return groups.filter((each) => !each.broken && has(each, model, byName)).map((each) => each.name);
}
