mod documentation;
mod estimates;
mod every_key;
mod hostile;
mod racing;
mod rules;
mod shipped;
mod support;
