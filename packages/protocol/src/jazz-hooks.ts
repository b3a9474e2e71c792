/**
 * What a Classic Jazz document says about itself, as the small functions that a server asks: which documents it depends on,
 * and which of its sessions are tombstones. Facts from npm `cojson` 0.20.
 *
 * Not here: dependencies that only transactions of a group name (its parents and members; clients ask for those themselves),
 * and whether a deletion is genuine (an application's `verify`).
 */
import { readJson } from './json-parse.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { utf8Length } from './text.ts'
import { type Fields, isObject } from './validate.ts'

/**
 * The documents that a Jazz document needs first: the group that owns it, the document it is a branch of, and the accounts
 * that wrote its sessions. Each once; `self` is left out. A header that is missing or not a Jazz header names nothing.
 */
export function jazzDependencies(
  header: Uint8Array | undefined,
  sessionIds: Iterable<string>,
  self?: string,
): string[] {
  const named = new Set<unknown>()
  const fields = parsed(header)
  const ruleset = fields?.ruleset
  const meta = fields?.meta
  if (isObject(ruleset) && ruleset.type === 'ownedByGroup') named.add(ruleset.group)
  if (isObject(meta)) named.add(meta.source)
  for (const session of sessionIds) named.add(authorOf(session))
  named.delete(self)
  return [...named].filter(isDocumentId)
}

/**
 * Whether a session deletes its Jazz document: its id ends in `$` and contains `_session_d`. Groups and accounts cannot be
 * deleted, so with their header it is no tombstone.
 */
export function jazzIsTombstone(session: string, header?: Uint8Array): boolean {
  if (!session.endsWith('$') || !session.includes('_session_d')) return false
  const ruleset = parsed(header)?.ruleset
  return !(isObject(ruleset) && ruleset.type === 'group')
}

/** An account, or an agent (a pair of keys without a document). */
function authorOf(session: string): string | undefined {
  const end = session.indexOf('_session_')
  return end < 0 ? undefined : session.slice(0, end)
}

/** Jazz clients ignore every message about another id, and what cannot be an id here is not asked for. */
function isDocumentId(id: unknown): id is string {
  if (typeof id !== 'string' || !id.startsWith('co_z') || id.length > DEFAULT_LIMITS.idBytesMax) return false
  const bytes = utf8Length(id)
  return bytes > 0 && bytes <= DEFAULT_LIMITS.idBytesMax
}

function parsed(header: Uint8Array | undefined): Fields | undefined {
  try {
    const value: unknown = header && readJson(header)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
