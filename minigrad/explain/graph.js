/* What a click or a key does in the picture; `this` is the svg. boxes.py joins the lines and puts its sizes in. */
const at = event.target.closest('.bar, .all');
if (!at || (event.type == 'keydown' && event.key != 'Enter' && event.key != ' ')) return;
event.preventDefault();
if (at.matches('.all')) {
  for (const module of this.querySelectorAll('.module')) module.classList.toggle('closed', at.dataset.close == '1');
} else at.parentNode.classList.toggle('closed');

const place = (level) => { /* moves the rows of a level down to where they belong now; returns its height */
  let y = 0;
  for (const row of level.children) {
    const items = [...row.children].filter((item) => item.dataset.h);
    let height = 0;
    for (const item of items) {
      item.h = Number(item.dataset.h);
      if (item.matches('.module')) {
        const closed = item.matches('.closed');
        item.querySelector(':scope > .bar').setAttribute('aria-expanded', !closed);
        item.h = BAR + (closed ? 0 : place(item.querySelector(':scope > .inside')));
        item.querySelector(':scope > .box').setAttribute('height', item.h);
      }
      height = Math.max(height, item.h ? item.h + FOOT : 0);
    }
    for (const item of items) {
      const foot = item.querySelector(':scope > .foot');
      foot.setAttribute('transform', `translate(0,${item.h})`);
      for (const line of foot.querySelectorAll('line')) line.setAttribute('y2', height - item.h);
    }
    row.setAttribute('transform', `translate(0,${y})`);
    y += height + GAP;
  }
  return y - GAP;
};
const height = Number(this.dataset.rest) + place(this.querySelector('.graph'));
this.setAttribute('height', height);
this.setAttribute('viewBox', `0 0 ${this.getAttribute('width')} ${height}`);
