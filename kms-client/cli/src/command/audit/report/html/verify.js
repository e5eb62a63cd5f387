
"use strict";
// Checks the proofs that this file carries, with nothing but the public key in it: certificates of the log keys, the
// checkpoint's signature, the way from each entry to the signed root (RFC 9162, C2SP signed-note).
(async () => {
  const told = document.getElementById("checked");
  const from64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const utf8 = new TextEncoder();
  const joined = (...parts) => {
    const whole = new Uint8Array(parts.reduce((len, part) => len + part.length, 0));
    let at = 0;
    for (const part of parts) { whole.set(part, at); at += part.length; }
    return whole;
  };
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
  const equal = (a, b) => a.length === b.length && a.every((byte, place) => byte === b[place]);

  const readKey = (text) => {
    const [name, id, ...key] = text.trim().split("+");
    const bytes = from64(key.join("+"));
    if (bytes.length !== 33 || bytes[0] !== 1) throw new Error("the public key is malformed");
    return { name, id, public: bytes.slice(1) };
  };
  const readNote = (note) => {
    const cut = note.lastIndexOf("\n\n");
    if (cut < 0 || !note.endsWith("\n")) throw new Error("a note is malformed");
    const lines = note.slice(cut + 2, -1).split("\n").map((line) => {
      const [dash, name, blob] = line.split(" ");
      if (dash !== "\u2014" || !blob) throw new Error("a signature is malformed");
      return { name, blob: from64(blob) };
    });
    return { text: note.slice(0, cut + 1), lines };
  };
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const isSigned = async (note, key) => {
    const own = note.lines.filter((line) => line.name === key.name && hex(line.blob.slice(0, 4)) === key.id);
    if (own.length !== 1) return false;
    const imported = await crypto.subtle.importKey("raw", key.public, { name: "Ed25519" }, false, ["verify"]);
    return crypto.subtle.verify({ name: "Ed25519" }, imported, own[0].blob.slice(4), utf8.encode(note.text));
  };

  // Log keys by the sizes from which on they sign.
  const follow = async (instance, notes) => {
    const keys = [];
    for (const [place, text] of notes.entries()) {
      const note = readNote(text);
      const [first, number, key, from] = note.text.split("\n");
      const log = readKey(key);
      const before = keys[place - 1];
      const good = first === log.name + "/log-key" && number === String(place + 1)
        && log.name.startsWith(instance.name + "/")
        && await isSigned(note, instance)
        && (!before || (before.key.name === log.name && before.from <= Number(from) && await isSigned(note, before.key)));
      if (!good) throw new Error("a log key is not certified");
      keys.push({ key: log, from: Number(from) });
    }
    return keys;
  };
  const readCheckpoint = async (keys, text) => {
    const note = readNote(text);
    const [origin, size, root] = note.text.split("\n");
    for (const [place, { key, from }] of keys.entries()) {
      const end = keys[place + 1] ? keys[place + 1].from : Infinity;
      if (origin === key.name && from <= Number(size) && Number(size) <= end && await isSigned(note, key)) {
        return { size: Number(size), root: from64(root) };
      }
    }
    throw new Error("the checkpoint is not signed");
  };
  const isIncluded = async (proof, checkpoint) => {
    const leaf = from64(proof.leaf);
    const place = new DataView(leaf.buffer).getBigUint64(2);
    if (place !== BigInt(proof.sequence) || proof.sequence >= checkpoint.size) return false;
    let [at, last] = [proof.sequence, checkpoint.size - 1];
    let hash = await sha256([0], leaf);
    for (const text of proof.inclusion) {
      if (last === 0) return false;
      const beside = from64(text);
      if (at % 2 === 1 || at === last) {
        hash = await sha256([1], beside, hash);
        while (at % 2 === 0 && at !== 0) { at /= 2; last = Math.floor(last / 2); }
      } else {
        hash = await sha256([1], hash, beside);
      }
      at = Math.floor(at / 2);
      last = Math.floor(last / 2);
    }
    return last === 0 && equal(hash, checkpoint.root);
  };

  try {
    if (!globalThis.crypto || !crypto.subtle) throw new Error("this browser has no cryptography for files; use kms audit verify");
    const { key, proofs } = JSON.parse(document.getElementById("proofs").textContent);
    const instance = readKey(key);
    let held = 0;
    for (const [place, proof] of proofs.entries()) {
      const keys = await follow(instance, proof.certificates);
      const good = await isIncluded(proof, await readCheckpoint(keys, proof.checkpoint));
      held += good ? 1 : 0;
      const state = document.querySelector("#proof-" + place + " .state");
      state.textContent = good ? "\u2713 holds" : "\u2717 does not hold";
      state.className = good ? "state good" : "state bad";
    }
    const all = held === proofs.length && held > 0;
    told.textContent = held + " of " + proofs.length + " proofs hold under this key, checked in this browser.";
    told.className = all ? "good" : "bad";
  } catch (error) {
    told.textContent = "Not checked: " + error.message + ".";
    told.className = "bad";
  }
})();
