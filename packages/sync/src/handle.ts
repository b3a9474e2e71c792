/**
 * One request, from the top: which file handles what. A request is a message, or work of our own that passes the same gate.
 */
import type { Core, Request } from './core.ts'
import { onCorrect, onRepeat } from './corrections.ts'
import { onNeed, onPush } from './dependencies.ts'
import { relax } from './holdings.ts'
import { onContent } from './on-content.ts'
import { onDone } from './on-done.ts'
import { onName } from './on-forbidden.ts'
import { onKnown } from './on-known.ts'
import { onLoad } from './on-load.ts'
import { onCompare } from './on-reconcile.ts'
import { onFollow, onTell } from './on-tell.ts'
import { onProbe } from './probes.ts'
import { waitsForRoom } from './room.ts'
import { onResend } from './senders.ts'
import { weigh } from './views.ts'
import { onAsk } from './window.ts'

export function handleRequest(core: Core, request: Request): void {
  const held = core.holdings.get(request.id)
  if (held !== undefined && waitsForRoom(core, held, request)) return
  dispatch(core, request)
  weigh(request.connection, request.id)
  const holding = core.holdings.get(request.id)
  if (holding !== undefined) relax(core, holding)
}

function dispatch(core: Core, request: Request): void {
  const { work } = request
  switch (work.action) {
    case 'load':
      return onLoad(core, request, work)
    case 'known':
      return onKnown(core, request, work)
    case 'content':
      return onContent(core, request, work)
    case 'done':
      return onDone(core, request)
    case 'ask':
      return onAsk(core, request)
    case 'push':
      return onPush(core, request)
    case 'need':
      return onNeed(core, request)
    case 'compare':
      return onCompare(core, request, work.hash)
    case 'tell':
      return onTell(core, request)
    case 'name':
      return onName(core, request)
    case 'follow':
      return onFollow(core, request)
    case 'probe':
      return onProbe(core, request)
    case 'repeat':
      return onRepeat(core, request, work.session, work.have)
    case 'correct':
      return onCorrect(core, request)
    case 'resend':
      return onResend(core, request)
  }
}
