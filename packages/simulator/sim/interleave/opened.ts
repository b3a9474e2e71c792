/**
 * Loads the engine with its tables in sight, so that two worlds can be told apart by what they are and not by how they came about.
 *
 * To be imported before the engine, after `sources.ts`: no door in the engine, only in what is loaded here.
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { packages } from '../sources.ts'

const ENGINE: string = new URL('sync/src/engine.ts', packages).href
const CLOSED = '  return {\n    handle(event, now) {'
const OPENED = '  return {\n    core,\n    handle(event: Event, now: number) {'

registerHooks({
  load(url, context, next) {
    if (url !== ENGINE) return next(url, context)
    const text = readFileSync(new URL(url), 'utf8')
    if (text.split(CLOSED).length !== 2) throw new Error(`${url} does not have it exactly once:\n${CLOSED}`)
    return { format: 'module-typescript', source: text.replace(CLOSED, () => OPENED), shortCircuit: true }
  },
})
