mod documentation;
mod estimates;
mod every_key;
mod racing;
mod reading;
mod rules;
mod shipped;
mod support;
