/**
 * Hints of the platform about the network. They are believed as far as it costs nothing if they are wrong.
 *
 * Not here: where they come from (`@tidemark/client/browser` has those of browsers).
 */
export type Hint =
  /** There may be a network again: it is tried at once. */
  | 'online'
  /** There is none: a connection is given up now, and not when its silence is noticed. Attempts go on. */
  | 'offline'

export interface Hints {
  /** Calls back with each hint. Answers how to stop. */
  watch(watcher: (hint: Hint) => void): () => void
}
