/**
 * The first example of the README, as it stands there: it runs, and what it says comes out.
 */
import * as serverPackage from '@tidemark/server'
import * as serverNode from '@tidemark/server/node'
import * as storagePackage from '@tidemark/storage'
import * as websocketPackage from '@tidemark/websocket'
import { expect, test } from 'vitest'
import readme from '../README.md?raw'
import * as clientPackage from '../src/index.ts'

const modules: Record<string, object> = {
  '@tidemark/client': clientPackage,
  '@tidemark/server': serverPackage,
  '@tidemark/server/node': serverNode,
  '@tidemark/storage': storagePackage,
  '@tidemark/websocket': websocketPackage,
}

test('the example of the README runs and answers what it says', async () => {
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const body = code.replace(/^import (\{.*\}) from ('.*')$/gm, 'const $1 = modules[$2]')
  const run = new Function('modules', `return (async () => {${body}\nreturn { state, received }})()`)
  expect(await run(modules)).toEqual({ state: 'absent', received: { add: 'bread' } })
})
