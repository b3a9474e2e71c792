/**
 * The outbox: documents that were written here and are not confirmed upstream.
 *
 * What is open is sent by itself. What was closed before it was confirmed is not forgotten: it is offered again whenever there is
 * a connection. As long as this process lives; over restarts: `@tidemark/reconciliation`, and `whenUploaded` meanwhile.
 */
export interface Outbox {
  /** Something of the document was stored. */
  add(id: string): void
  /** Takes out what is confirmed. */
  check(id: string): void
  ids(): readonly string[]
}

export function createOutbox(isUploaded: (id: string) => boolean): Outbox {
  const waiting = new Set<string>()
  return {
    add: (id) => void waiting.add(id),
    check(id) {
      if (waiting.has(id) && isUploaded(id)) waiting.delete(id)
    },
    ids: () => [...waiting],
  }
}
