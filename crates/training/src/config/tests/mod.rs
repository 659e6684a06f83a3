mod documentation;
mod every_key;
mod reading;
mod rules;
mod shipped;
mod support;
