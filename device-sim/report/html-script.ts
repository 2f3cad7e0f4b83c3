/**
 * The script of HTML reports: shows the values under the pointer, or under a cursor that the arrow keys
 * move. The page is complete without it.
 *
 * @module
 */
export const pageScript = `
const tip=document.getElementById('tip'),frames=[...document.querySelectorAll('[data-plot]')];
for(const frame of frames){
  const data=JSON.parse(frame.dataset.plot),area=frame.querySelector('.area');let index=0;
  const show=(at,x,y)=>{
    index=Math.max(0,Math.min(data.x.length-1,at));
    for(const other of frames){
      const same=other===frame||data.g!==undefined&&JSON.parse(other.dataset.plot).g===data.g;
      other.classList.toggle('pointed',same);if(same)other.style.setProperty('--at',data.x[index]+'%');
    }
    const head=document.createElement('b');head.textContent=data.h[index];tip.replaceChildren(head);
    for(const s of data.s){
      const row=document.createElement('div'),mark=document.createElement('i');
      mark.style.background='var(--'+s.c+')';row.append(mark,s.n+': '+s.v[index]);tip.append(row);
    }
    tip.style.display='block';
    tip.style.left=Math.max(4,Math.min(x+14,innerWidth-tip.offsetWidth-8))+'px';
    tip.style.top=Math.max(4,Math.min(y+14,innerHeight-tip.offsetHeight-8))+'px';
  };
  const nearest=(percent)=>{let best=0;for(let i=1;i<data.x.length;i++)if(Math.abs(data.x[i]-percent)<Math.abs(data.x[best]-percent))best=i;return best;};
  const hide=()=>{tip.style.display='none';for(const other of frames)other.classList.remove('pointed');};
  area.addEventListener('pointermove',(event)=>{
    const box=area.getBoundingClientRect();
    show(nearest((event.clientX-box.left)/box.width*100),event.clientX,event.clientY);
  });
  area.addEventListener('pointerleave',hide);frame.addEventListener('blur',hide);
  frame.addEventListener('keydown',(event)=>{
    const step={ArrowRight:1,ArrowLeft:-1}[event.key];if(step===undefined)return;
    event.preventDefault();const box=area.getBoundingClientRect();
    show(index+step,box.left+box.width*data.x[Math.max(0,Math.min(data.x.length-1,index+step))]/100,box.top);
  });
}
`;
