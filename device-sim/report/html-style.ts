/**
 * The style sheet of HTML reports. Colors have the contrast that WCAG 2.2 AA requires: 4.5:1 for text
 * and 3:1 for lines, in both themes.
 *
 * @module
 */
export const pageStyle = `
:root{--ink:#18202a;--soft:#56616d;--line:#d9dfe6;--paper:#fff;--back:#f3f5f8;--band:#e9eef5;--good:#1b7038;--bad:#b3261e;--neutral:#56616d;--on:#fff;
--blue:#2563c9;--orange:#b35c00;--red:#c2362b;--green:#1f8046;--grey:#6b7683;--violet:#7a4fc0;--teal:#0f7b83;--ochre:#8a6d00;--pink:#b0387e;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#a3afbb;--line:#343e4a;--paper:#1a2028;--back:#11151a;--band:#232b36;--good:#63c983;--bad:#f2857c;--neutral:#a3afbb;--on:#10151a;
--blue:#6ea2f2;--orange:#eda04a;--red:#f0776d;--green:#5fc285;--grey:#93a0ad;--violet:#b394ea;--teal:#4cc0c6;--ochre:#d9b93c;--pink:#e684bb}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:28px}main{padding-bottom:60px}
h1{display:inline-block;margin:0 0 0 12px;font-size:26px;line-height:1.2;vertical-align:middle;overflow-wrap:anywhere}
h2{font-size:18px;margin:0 0 10px}h3{font-size:15px;margin:0}
h1.plain{margin-left:0}
header p{color:var(--soft);margin:8px 0 0}
a{color:var(--blue)}
.downloads{display:flex;flex-wrap:wrap;gap:4px 16px;margin:8px 0 0;padding:0;list-style:none;font-size:14px}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:16px 0}
.badge,.mark{display:inline-block;border-radius:999px;color:var(--on);font-weight:600}
.badge{padding:5px 14px;font-size:14px;vertical-align:middle;text-transform:uppercase;letter-spacing:.04em}
.mark{padding:1px 9px;font-size:12px;white-space:nowrap}
.passed{background:var(--good)}.failed{background:var(--bad)}.neutral{background:var(--neutral)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(200px,42vw),1fr));gap:14px;background:none;border:0;padding:0}
.tile{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:25px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{display:block;font-weight:600}.tile small{color:var(--soft)}
.tile.bad b{color:var(--bad)}
.notice{border-left:4px solid var(--neutral);background:var(--paper);padding:12px 16px;border-radius:6px;margin:16px 0}
.notice.bad{border-color:var(--bad)}.notice ul{margin:4px 0 0;padding-left:20px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th:last-child,td:last-child{padding-right:0}
tr:last-child td{border-bottom:0}
th{color:var(--soft);font-weight:600;font-size:13px}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
small,.hint{color:var(--soft);font-size:13px}.hint{margin:-4px 0 12px}
.bar{display:block;height:12px;margin-top:5px;min-width:2px;background:var(--bad);border-radius:3px}
.better{color:var(--good);font-weight:600}.worse{color:var(--bad);font-weight:600}
code{font-size:.92em}
.phases{list-style:none;margin:0;padding:0}
.phases>li{padding:10px 0;border-bottom:1px solid var(--line)}.phases>li:last-child{border-bottom:0;padding-bottom:0}
.phases .row{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline}
.phases .row small{margin-left:auto}
.phases ul{margin:4px 0 2px;padding-left:20px;list-style:disc}
.no{display:inline-block;min-width:20px;padding:0 5px;border-radius:5px;background:var(--band);color:var(--ink);font-size:12px;font-weight:600;text-align:center;font-variant-numeric:tabular-nums}
.plots{display:grid;gap:26px 32px;grid-template-columns:minmax(0,1fr)}
@media(min-width:900px){.plots.two{grid-template-columns:repeat(2,minmax(0,1fr))}}
figure{margin:0;min-width:0}
figcaption{display:flex;flex-wrap:wrap;gap:0 14px;align-items:baseline;margin-bottom:6px}
figcaption b{font-size:15px}
.legend{display:flex;flex-wrap:wrap;gap:0 14px;font-size:13px;color:var(--soft)}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:5px;vertical-align:-1px}
.frame{display:grid;grid-template-columns:62px minmax(0,1fr);container-type:inline-size}
.frame:focus-visible{outline:2px solid var(--blue);outline-offset:4px;border-radius:4px}
.y,.x,.area{position:relative}
.area{height:200px;margin-top:18px;border-bottom:1px solid var(--soft)}
.y{margin-top:18px}
.y span,.x span,.no-mark,.limit-mark,.value-mark{position:absolute;font-size:11px;line-height:14px;color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums}
.y span{right:8px;transform:translateY(50%)}
.x{grid-column:2;height:22px}.x span{top:5px;transform:translateX(-50%)}
.x span.first{transform:none}.x span.last{transform:translateX(-100%)}
.axis{grid-column:2;font-size:12px;color:var(--soft);text-align:right}
@container(max-width:520px){.x span.odd{display:none}}
.area svg{position:absolute;inset:0;width:100%;height:100%;display:block}
svg path,svg line{vector-effect:non-scaling-stroke}
.grid{stroke:var(--line);stroke-width:1}
.curve{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.dot{fill:none;stroke-width:5;stroke-linecap:round}
.stacked{fill-opacity:.85;stroke:none}
.bars{fill-opacity:.8;stroke:none}.bars.over{fill-opacity:.45}
.limit{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:6 4}
.limit-mark{color:var(--ink);margin-left:4px;font-weight:600;text-shadow:0 0 3px var(--paper),0 0 3px var(--paper)}
.value{stroke-width:1.5;stroke-dasharray:2 3}
.value-mark{color:var(--ink);background:var(--paper);padding:0 3px;border-radius:3px}
.value-mark.left{transform:translateX(-100%)}
.band0{fill:var(--band)}.band1{fill:none}
.no-mark{top:-17px;transform:translateX(-50%)}
.cursor{position:absolute;top:0;bottom:0;width:1px;background:var(--ink);left:var(--at,0);display:none}
.pointed .cursor{display:block}
.gantt{display:grid;grid-template-columns:62px minmax(0,1fr);row-gap:3px;margin-bottom:22px}
.gantt .no{justify-self:end;margin-right:8px}
.lane{position:relative;height:20px;border-bottom:1px solid var(--line)}
.lane i{position:absolute;top:3px;bottom:3px;min-width:3px;border-radius:3px;background:var(--blue)}
.lane i.failed{background:var(--bad)}
.lane>span{position:absolute;font-size:12px;line-height:19px;white-space:nowrap}
.lane>span.inside{color:var(--on)}
#tip{position:fixed;display:none;pointer-events:none;background:var(--ink);color:var(--paper);border-radius:6px;padding:6px 10px;font-size:12px;font-variant-numeric:tabular-nums;z-index:2;max-width:90vw}
#tip i{display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:6px}
@media(max-width:520px){.took{display:none}header,main{padding-left:12px;padding-right:12px}section{padding:14px 12px}.frame,.gantt{grid-template-columns:52px minmax(0,1fr)}.phases .row small{margin-left:0;width:100%}}
@media print{body{background:#fff;font-size:12px}section,figure,.phases>li{break-inside:avoid}.downloads{display:none}}
`;
