/**
 * Room: what a connection is handed one at a time, each when what went before has left to a degree and it is its turn.
 *
 * L10: pages are, and so are known states of many sessions: a LOAD of four bytes may be answered with megabytes. What asks about a
 * document of many sessions waits for room like a page does, so that neither a turn nor the memory is filled with answers.
 * What still waits when its connection closes is dropped, content too: none of it was acknowledged, so whoever sent it has it (L3).
 * Not here: when there is room (the shell says `drained`), whose turn it is (`run-inflow.ts`).
 */
import { type Connection, type Core, emit, type Holding, type Request } from './core.ts'
import { durable } from './holdings.ts'
import { park, resume } from './lanes.ts'
import { isPaused } from './pools.ts'
import { pump } from './senders.ts'
import { MANY_SESSIONS } from './weights.ts'

/** Parks what may be answered with a large state while there is no room. */
export function waitsForRoom(core: Core, holding: Holding, request: Request): boolean {
  const { connection } = request
  const { upstream, local } = connection.traits
  // It is not answered, and makes room.
  if (request.work.action === 'done') return false
  // We chose our upstreams; and of two ends that wait for each other nothing would move.
  if (upstream || local || connection.room || connection.leaving || durable(holding).sessions.size <= MANY_SESSIONS)
    return false
  park(core, holding, request, 'room')
  if (!isPaused(connection)) emit(core, { type: 'pause', connection: connection.id })
  connection.roomless.add(holding.id)
  return true
}

/** There is room again: first for answers, then for pages. */
export function onDrained(core: Core, connection: Connection): void {
  const before = isPaused(connection)
  connection.room = true
  answerMore(core, connection)
  if (before && !isPaused(connection)) emit(core, { type: 'resume', connection: connection.id })
  if (connection.room) pump(core, connection)
}

/** Nobody reads what is answered: what waited is handled, and so is what it holds up. */
export function onLeaving(core: Core, connection: Connection): void {
  connection.leaving = true
  answerMore(core, connection)
  if (!isPaused(connection)) emit(core, { type: 'resume', connection: connection.id })
}

function answerMore(core: Core, connection: Connection): void {
  for (const id of connection.roomless) {
    if (!connection.room && !connection.leaving) return
    connection.roomless.delete(id)
    const holding = core.holdings.get(id)
    const lane = holding?.lanes.get(connection)
    const [first] = lane?.requests ?? []
    if (holding !== undefined && first !== undefined && lane?.waiting === 'room') resume(core, holding, first)
  }
}
