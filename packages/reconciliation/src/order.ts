/**
 * Order: dependencies before what depends on them.
 *
 * L9: nothing is held back by a cycle, it is cut where it closes. Not here: what a document depends on (the application says).
 */

/**
 * `ids` once each, every one behind those of its dependencies that are among `ids`; otherwise in the order given.
 *
 * `dependenciesOf` is asked once for each id. In a cycle the document that comes first in `ids` leaves last.
 */
export function order(ids: Iterable<string>, dependenciesOf: (id: string) => Iterable<string>): string[] {
  const wanted = new Set(ids)
  const begun = new Set<string>()
  const ordered: string[] = []
  // A stack of our own: chains may be longer than the call stack.
  const open: { readonly id: string; readonly rest: Iterator<string> }[] = []

  function begin(id: string): void {
    if (!wanted.has(id) || begun.has(id)) return
    begun.add(id)
    open.push({ id, rest: dependenciesOf(id)[Symbol.iterator]() })
  }

  for (const first of wanted) {
    begin(first)
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const next = top.rest.next()
      if (!next.done) begin(next.value)
      else {
        ordered.push(top.id)
        open.pop()
      }
    }
  }
  return ordered
}
