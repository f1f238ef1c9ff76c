// Addresses and CIDR blocks as the server reads them: for what is told while somebody types. The server decides.

const V4_PART = /^(0|[1-9]\d{0,2})$/;
const V6_PART = /^[0-9a-f]{1,4}$/i;

function readV4(text) {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => V4_PART.test(part) && Number(part) < 256)) return null;
  return { bits: 32, value: parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n) };
}

/** The parts of one side of `::`, of which the last may be an IPv4 address. */
function partsOf(side) {
  if (side === "") return [];
  return side.split(":").flatMap((part) => {
    const v4 = part.includes(".") ? readV4(part) : null;
    return v4 ? [(v4.value >> 16n).toString(16), (v4.value & 0xffffn).toString(16)] : [part];
  });
}

function readV6(text) {
  const sides = text.split("::");
  if (sides.length > 2 || !text.includes(":")) return null;
  const [before, after = []] = sides.map(partsOf);
  const missing = 8 - before.length - after.length;
  if (sides.length === 2 ? missing < 1 : missing !== 0) return null;
  const parts = [...before, ...Array(missing).fill("0"), ...after];
  if (!parts.every((part) => V6_PART.test(part))) return null;
  return { bits: 128, value: parts.reduce((value, part) => (value << 16n) | BigInt(`0x${part}`), 0n) };
}

const isMapped = ({ bits, value }) => bits === 128 && value >> 32n === 0xffffn;

/** {bits, value} of an IPv4 or IPv6 address, an IPv4-mapped one as IPv4; null for anything else. */
export function readAddress(text) {
  const address = readV4(text) ?? readV6(text);
  return address && isMapped(address) ? { bits: 32, value: address.value & 0xffffffffn } : address;
}

function addressText({ bits, value }) {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((by) => (value >> by) & 255n).join(".");
  const parts = Array.from({ length: 8 }, (_, n) => ((value >> BigInt(112 - 16 * n)) & 0xffffn).toString(16));
  return new URL(`http://[${parts.join(":")}]`).hostname.slice(1, -1); // the browser writes them as one does
}

/** {bits, value, prefix} of an address or a block, or {wrong: rule, …} as the server would say it. */
export function readBlock(text) {
  const [before, length, ...more] = text.split("/");
  const address = readV4(before) ?? readV6(before);
  if (!address || more.length) return { wrong: "no_block" };
  if (length === undefined) return { ...readAddress(before), prefix: readAddress(before).bits };
  if (!/^\d{1,3}$/.test(length) || Number(length) > address.bits) return { wrong: "no_block" };
  if (isMapped(address)) return { wrong: "mapped_block", address: addressText({ bits: 32, value: address.value & 0xffffffffn }) };
  const rest = BigInt(address.bits - Number(length));
  const network = { bits: address.bits, value: (address.value >> rest) << rest };
  if (network.value !== address.value) return { wrong: "host_bits", block: `${addressText(network)}/${Number(length)}` };
  return { ...network, prefix: Number(length) };
}

/** The entries of a text, by lines or commas. */
export const linesOf = (text) => text.split(/[\n\r,]+/).map((line) => line.trim()).filter(Boolean);

/** What is wrong with a text of blocks: [{line, given, wrong, …}]. */
export const mistakesOf = (text) =>
  linesOf(text).map((given, n) => ({ line: n + 1, given, ...readBlock(given) })).filter(({ wrong }) => wrong);

/** Whether one of `blocks` (texts) holds the address; those that cannot be read hold none. */
function holds(blocks, address) {
  return blocks.map(readBlock).some((block) => {
    if (block.wrong || block.bits !== address.bits) return false;
    const rest = BigInt(block.bits - block.prefix);
    return block.value >> rest === address.value >> rest;
  });
}

/** What would become of a caller at an address: "allowed", "denied" or "not_allowed"; null where the address cannot be read. */
export function judge(address, { allow, deny }) {
  const read = readAddress(address);
  if (!read) return null;
  if (holds(deny, read)) return "denied";
  return allow.length && !holds(allow, read) ? "not_allowed" : "allowed";
}
