// Opens a page as a browser does, in jsdom: `browser.mjs URL`. Stays until it is ended.
import { createRequire } from 'node:module'

const { JSDOM, VirtualConsole } = createRequire(`${process.cwd()}/`)('jsdom')

const virtualConsole = new VirtualConsole()
virtualConsole.on('jsdomError', (error) => console.error(error.message))
virtualConsole.sendTo?.(console) ?? virtualConsole.forwardTo(console)
await JSDOM.fromURL(process.argv[2], {
  runScripts: 'dangerously',
  resources: 'usable',
  pretendToBeVisual: true,
  virtualConsole,
})
