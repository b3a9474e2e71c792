/**
 * Field checkers: parsed JSON that may be anything becomes parts of messages, within limits.
 *
 * L14: what an input can be is decided here, at the border. A check that fails throws a `ProtocolError` that names the field,
 * what was expected and what kind of thing came; values of a peer are never quoted, only measured. Sizes beyond a limit have
 * the code `limit`, everything else `malformed`.
 * Not here: which fields a message has (the dialects), who catches (lines.ts).
 */
import type { KnownState } from '@tidemark/known-state'
import { ProtocolError } from './errors.ts'
import type { Limits } from './limits.ts'
import type { Priority } from './messages.ts'
import { isWellFormed, utf8Length } from './text.ts'

/** A parsed JSON object. Only its own properties count: `JSON.parse` makes `__proto__` one of them. */
export type Fields = Readonly<Record<string, unknown>>

/** The message under examination: which limits hold, and what it is about as soon as that was read. */
export interface Place {
  readonly limits: Limits
  id: string | undefined
}

const COUNT = 'a count (safe integer ≥ 0)'
const KEY_SHOWN_MAX = 40

export function malformed(place: Place, field: string, expected: string, value: unknown): ProtocolError {
  return new ProtocolError('malformed', { field, expected, got: describe(value), id: place.id })
}

/** `got` with its unit: "12 sessions". */
export function excess(place: Place, field: string, expected: string, got: string): ProtocolError {
  return new ProtocolError('limit', { field, expected, got, id: place.id })
}

/** The path of an entry: `sessions["a"]`, of a long key only the beginning. */
export function entry(field: string, key: string | number): string {
  if (typeof key === 'number') return `${field}[${key}]`
  return `${field}[${JSON.stringify(key.length > KEY_SHOWN_MAX ? `${key.slice(0, KEY_SHOWN_MAX)}…` : key)}]`
}

/** The id of the document that the message is about; errors name it from here on. */
export function documentId(place: Place, value: unknown): string {
  place.id = idOf(place, value, 'id')
  return place.id
}

/** Well-formed Unicode of 1 to `idBytesMax` bytes. */
export function idOf(place: Place, value: unknown, field: string): string {
  if (typeof value !== 'string' || value === '')
    throw malformed(place, field, 'an id (a string that is not empty)', value)
  checkId(place, value, field, undefined)
  return value
}

/** Session ids are keys of `field`; there may be up to `sessionsMax`. Those with count 0 are left out. */
export function sessionCounts(place: Place, value: unknown, field: string): Map<string, number> {
  const fields = objectOf(place, value, field)
  const counts = new Map<string, number>()
  for (const session of sessionsOf(place, fields, field)) {
    const held = fields[session]
    if (!isCount(held)) throw malformed(place, entry(field, session), COUNT, held)
    if (held > 0) counts.set(session, held)
  }
  return counts
}

/** The keys of `fields`, which are session ids. */
export function sessionsOf(place: Place, fields: Fields, field: string): string[] {
  const sessions = Object.keys(fields)
  const { sessionsMax } = place.limits
  if (sessions.length > sessionsMax) throw excess(place, field, `at most ${sessionsMax} sessions`, `${sessions.length}`)
  for (const session of sessions) checkId(place, session, field, session)
  return sessions
}

export function knownStateOf(place: Place, fields: Fields): KnownState {
  return {
    header: booleanOf(place, fields.header, 'header'),
    sessions: sessionCounts(place, fields.sessions, 'sessions'),
  }
}

export function countOf(place: Place, value: unknown, field: string): number {
  if (!isCount(value)) throw malformed(place, field, COUNT, value)
  // -0 becomes 0.
  return value + 0
}

/** That a run of `length` transactions after `after` ends at a count too. */
export function checkEnd(place: Place, after: number, length: number, field: string): void {
  if (!isCount(after + length)) throw malformed(place, field, 'a count that leaves room for the run', after)
}

export function objectOf(place: Place, value: unknown, field: string): Fields {
  if (!isObject(value)) throw malformed(place, field, 'an object', value)
  return value
}

export function arrayOf(place: Place, value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(place, field, 'an array', value)
  return value
}

export function booleanOf(place: Place, value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw malformed(place, field, 'true or false', value)
  return value
}

/** `false` where nothing is said. */
export function flagOf(place: Place, value: unknown, field: string): boolean {
  return value === undefined ? false : booleanOf(place, value, field)
}

/** Well-formed Unicode; as long as the message may be. */
export function textOf(place: Place, value: unknown, field: string): string {
  if (typeof value !== 'string') throw malformed(place, field, 'a string', value)
  if (!isWellFormed(value)) throw malformed(place, field, 'well-formed Unicode', value)
  return value
}

/** A missing or unknown priority is the normal one. */
export function priorityOf(value: unknown): Priority {
  // -0 becomes 0.
  if (value === 0) return 0
  return value === 6 ? 6 : 3
}

/** Entries of a `reconcile` batch: pairs of a document id and a hash. */
export function reconcileValues(place: Place, value: unknown): [id: string, hash: string][] {
  const values = arrayOf(place, value, 'values')
  const { reconcileMax } = place.limits
  if (values.length > reconcileMax) throw excess(place, 'values', `at most ${reconcileMax} entries`, `${values.length}`)
  return values.map((pair, index) => {
    if (!Array.isArray(pair) || pair.length < 2)
      throw malformed(place, entry('values', index), 'a pair [id, hash]', pair)
    return [
      idOf(place, pair[0], entry(entry('values', index), 0)),
      idOf(place, pair[1], entry(entry('values', index), 1)),
    ]
  })
}

export function checkTransactions(place: Place, total: number, field: string): void {
  const { transactionsMax } = place.limits
  if (total > transactionsMax)
    throw excess(place, field, `at most ${transactionsMax} transactions in a message`, `${total} or more`)
}

export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function checkId(place: Place, id: string, field: string, key: string | undefined): void {
  const { idBytesMax } = place.limits
  const path = () => (key === undefined ? field : entry(field, key))
  if (id === '') throw malformed(place, path(), 'an id (a string that is not empty)', id)
  // A UTF-16 unit is one to three bytes: what is short or long enough is not measured.
  if (id.length > idBytesMax)
    throw excess(place, path(), `an id of at most ${idBytesMax} bytes`, `at least ${id.length}`)
  if (id.length * 3 > idBytesMax) {
    const bytes = utf8Length(id)
    if (bytes > idBytesMax) throw excess(place, path(), `an id of at most ${idBytesMax} bytes`, `${bytes}`)
  }
  if (!isWellFormed(id)) throw malformed(place, path(), 'well-formed Unicode', id)
}

/** What a value is, never what it says. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return `a string of ${value.length} characters`
  if (Array.isArray(value)) return `an array of ${value.length}`
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
