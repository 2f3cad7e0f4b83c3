/**
 * Retained messages by topic: a trie with one node per topic level. The cost of a lookup depends on the
 * nodes that it visits, not on the number of messages.
 *
 * @module
 */
import { messageBytes, type StoredMessage } from './session-store.ts';

interface Node {
  message: StoredMessage | undefined;
  children: Map<string, Node> | undefined;
}

export class RetainedTrie {
  readonly #root: Node = { message: undefined, children: undefined };
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  /** By {@link messageBytes}. */
  get bytes(): number {
    return this.#bytes;
  }

  get(topic: string): StoredMessage | undefined {
    let node: Node | undefined = this.#root;
    for (const level of topic.split('/')) {
      node = node.children?.get(level);
      if (node === undefined) return undefined;
    }
    return node.message;
  }

  /** Retains a message and replaces the previous one of its topic. */
  set(message: StoredMessage): void {
    let node = this.#root;
    for (const level of message.topic.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = { message: undefined, children: undefined };
        node.children.set(level, child);
      }
      node = child;
    }
    if (node.message === undefined) this.#count++;
    else this.#bytes -= messageBytes(node.message);
    this.#bytes += messageBytes(message);
    node.message = message;
  }

  /** Removes the message of a topic, and the nodes that are needed only for it. */
  delete(topic: string): boolean {
    const levels = topic.split('/');
    const path = [this.#root];
    for (const level of levels) {
      const child = path.at(-1)?.children?.get(level);
      if (child === undefined) return false;
      path.push(child);
    }
    const leaf = path.pop();
    if (leaf?.message === undefined) return false;
    this.#count--;
    this.#bytes -= messageBytes(leaf.message);
    leaf.message = undefined;
    for (let child: Node | undefined = leaf; child !== undefined; child = path.pop()) {
      if (child.message !== undefined || (child.children?.size ?? 0) > 0) break;
      const level = levels[path.length - 1];
      if (level !== undefined) path.at(-1)?.children?.delete(level);
    }
    return true;
  }

  /**
   * The messages that a filter matches, in any order. [MQTT-4.7.2-1] wildcards in the first
   * level do not match names that begin with `$`; [MQTT-4.7.1-3] `+` matches an empty level.
   */
  *match(filter: string): Generator<StoredMessage, void, undefined> {
    const levels = filter.split('/');
    const open: { node: Node; depth: number }[] = [{ node: this.#root, depth: 0 }];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const { node, depth } = at;
      const level = levels[depth];
      if (level === undefined) {
        if (node.message !== undefined) yield node.message;
      } else if (level === '#') {
        // `#` also matches the parent level. The root has no message.
        if (node.message !== undefined) yield node.message;
        for (const child of this.#wildChildren(node)) open.push({ node: child, depth });
      } else if (level === '+') {
        for (const child of this.#wildChildren(node)) open.push({ node: child, depth: depth + 1 });
      } else {
        const child = node.children?.get(level);
        if (child !== undefined) open.push({ node: child, depth: depth + 1 });
      }
    }
  }

  /** Every message. */
  *all(): Generator<StoredMessage, void, undefined> {
    const open = [this.#root];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (node.message !== undefined) yield node.message;
      if (node.children === undefined) continue;
      for (const child of node.children.values()) open.push(child);
    }
  }

  *#wildChildren(node: Node): Generator<Node, void, undefined> {
    if (node.children === undefined) return;
    for (const [level, child] of node.children) {
      if (node !== this.#root || !level.startsWith('$')) yield child;
    }
  }
}
