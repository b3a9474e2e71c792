/**
 * Reading disks for checkers: what stands on them, whatever anybody believes.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Disk } from '../disk.ts'
import type { World } from '../world.ts'

/** Transactions by session, as texts; `undefined` if nothing of the document is stored. */
export type Contents = ReadonlyMap<string, readonly string[]>

const utf8 = new TextDecoder()

export async function contentsOf(disk: Disk, id: string): Promise<Contents | undefined> {
  const page = await disk.bare.read(id, EMPTY, { bytesMax: Number.MAX_SAFE_INTEGER })
  if (page === undefined) return undefined
  return new Map(
    page.runs.map(({ session, transactions }) => [
      session,
      transactions.map((transaction) => utf8.decode(transaction)),
    ]),
  )
}

export function diskOf(world: World, name: string): Disk | undefined {
  for (const node of world.servers) if (node.name === name) return node.disk
  for (const node of world.clients) if (node.name === name) return node.disk
  return undefined
}
