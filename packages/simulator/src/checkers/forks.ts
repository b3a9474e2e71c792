/**
 * Forks: two histories of one session are reported, and never merged (L13).
 *
 * Applications are expected to write no transaction twice. Every transaction stands behind the one that its writer had before it.
 */
import { Violation } from '../violation.ts'
import type { World } from '../world.ts'
import type { MakeChecker } from './checker.ts'
import { mayWrite } from './rights.ts'
import { type Contents, contentsOf } from './stored.ts'

export const forks: MakeChecker = (world) => {
  /** Text → the text that its writer wrote it behind. */
  const behind = new Map<string, string | undefined>()
  /** Document → sessions that somebody said to be forked; `undefined` stands for all of them. */
  const told = new Map<string, Set<string | undefined>>()
  const tell = (id: string, sessions: readonly string[]) => {
    const before = told.get(id) ?? new Set()
    told.set(id, new Set([...before, ...(sessions.length > 0 ? sessions : [undefined])]))
  }

  function unmerged(node: string, id: string, session: string, texts: readonly string[]): void {
    for (const [index, text] of texts.entries()) {
      if (!behind.has(text) || behind.get(text) === texts[index - 1]) continue
      const expected = behind.get(text) ?? 'nothing'
      throw new Violation(
        'forks',
        `${node} holds ${text} of ${id} ${session} behind ${texts[index - 1] ?? 'nothing'}; it was written behind ${expected}`,
      )
    }
  }

  return {
    happened(happening) {
      if (happening.type === 'reported' && happening.report.kind === 'fork')
        tell(happening.report.id, happening.report.sessions)
      else if (happening.type === 'rejected' && (happening.error as { code?: unknown }).code === 'FORK')
        tell(happening.id, [happening.session])
      else if (happening.type === 'resolved') {
        let last = happening.behind
        for (const text of happening.texts) {
          behind.set(text, last)
          last = text
        }
      }
    },
    async judge() {
      for (const id of idsOf(world)) {
        const all = await everywhere(world, id)
        for (const [node, contents] of [...all, ...(await layersOf(world, id))])
          for (const [session, texts] of contents) unmerged(node, id, session, texts)
        const [session] = [...forkedSessions(shown(world, id, all).values())].filter(
          (forked) => !told.get(id)?.has(forked) && !told.get(id)?.has(undefined),
        )
        if (session !== undefined)
          throw new Violation('forks', `${id} has two histories of ${session}, and nobody said so`)
      }
    },
  }
}

/** Without what a client has beyond its server and may not write: nobody compares that before the server has as much. */
function shown(world: World, id: string, all: ReadonlyMap<string, Contents>): ReadonlyMap<string, Contents> {
  const hidden = (node: string, session: string, { length }: readonly string[]) =>
    world.clients.some(({ name }) => name === node) &&
    world.servers.some(
      (server) => !mayWrite(server, node, id) && length > (all.get(server.name)?.get(session)?.length ?? 0),
    )
  return new Map(
    [...all].map(([node, contents]) => [
      node,
      new Map([...contents].filter(([session, texts]) => !hidden(node, session, texts))),
    ]),
  )
}

export function idsOf(world: World): ReadonlySet<string> {
  return new Set([...world.servers, ...world.clients].flatMap(({ disk }) => disk.ids()))
}

export async function everywhere(world: World, id: string): Promise<Map<string, Contents>> {
  const all = new Map<string, Contents>()
  for (const { name, disk } of [...world.servers, ...world.clients]) {
    const contents = await contentsOf(disk, id)
    if (contents !== undefined) all.set(name, contents)
  }
  return all
}

/** Of what a server has on several disks, each: together they show the one that holds most of a session. */
async function layersOf(world: World, id: string): Promise<Map<string, Contents>> {
  const all = new Map<string, Contents>()
  for (const { name, disks } of world.servers.filter((server) => server.disks.length > 1))
    for (const [index, disk] of disks.entries()) {
      const contents = await contentsOf(disk, id)
      if (contents !== undefined) all.set(`disk ${index + 1} of ${name}`, contents)
    }
  return all
}

/** Sessions that do not begin the same everywhere. */
export function forkedSessions(all: Iterable<Contents>): ReadonlySet<string> {
  const longest = new Map<string, readonly string[]>()
  const forked = new Set<string>()
  for (const contents of all)
    for (const [session, texts] of contents) {
      const other = longest.get(session) ?? []
      if (other.some((text, index) => index < texts.length && texts[index] !== text)) forked.add(session)
      if (texts.length > other.length) longest.set(session, texts)
    }
  return forked
}
