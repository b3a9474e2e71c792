/**
 * The first example of the README, as it stands there: it runs, and what it says comes out.
 */
import { EMPTY } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import readme from '../README.md?raw'
import * as storagePackage from '../src/index.ts'

test('the example of the README runs and answers what it says', () => {
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const names = ['EMPTY', 'memoryStorage']
  expect(code.match(/^import .*$/gm)).toEqual([
    "import { EMPTY } from '@tidemark/known-state'",
    "import { memoryStorage } from '@tidemark/storage'",
  ])
  const body = `${code.replace(/^import .*$/gm, '')}\nreturn { result, known, absent, page }`
  const { result, known, absent, page } = new Function(...names, body)(EMPTY, storagePackage.memoryStorage)
  expect(result.refused.size).toBe(0)
  expect(result.state).toEqual(known)
  expect(known.known).toEqual({ header: true, sessions: new Map([['alice-1', 2]]) })
  expect(absent).toBeUndefined()
  expect([page.runs[0].transactions.length, page.end, page.more]).toEqual([2, known.known, false])
})
